package probe

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRecord is the longest line that is read, in bytes, as in training.
const maxRecord = 16 << 20

// Records reads documents from JSON lines: a text under the given field, or token ids under "ids".
// Blank lines are skipped. Errors name the line.
type Records struct {
	in     *bufio.Scanner
	field  []string
	encode func(text string) ([]int32, error)
	line   int
}

var _ Documents = (*Records)(nil)

// NewRecords reads from r. field is the path of a text: the names of objects, then of the string.
// encode is called for records with a text.
func NewRecords(r io.Reader, field []string, encode func(text string) ([]int32, error)) *Records {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxRecord)
	return &Records{in: s, field: field, encode: encode}
}

// Next implements Documents.
func (r *Records) Next() (Document, error) {
	for r.in.Scan() {
		r.line++
		if len(r.in.Bytes()) == 0 {
			continue
		}
		d, err := r.parse(r.in.Bytes())
		if err != nil {
			return Document{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		return d, nil
	}
	if err := r.in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return Document{}, fmt.Errorf("line %d: longer than %d bytes; split the record", r.line+1,
			maxRecord)
	} else if err != nil {
		return Document{}, fmt.Errorf("after line %d: %w", r.line, err)
	}
	return Document{}, io.EOF
}

func (r *Records) parse(line []byte) (Document, error) {
	if !utf8.Valid(line) {
		return Document{}, errors.New("not valid UTF-8")
	}
	var members map[string]json.RawMessage
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(line, &members); {
	case errors.As(err, &syntax):
		return Document{}, fmt.Errorf("not JSON at byte %d; write one object a line", syntax.Offset)
	case err != nil || members == nil:
		return Document{}, fmt.Errorf("is %.40s, want an object", line)
	}
	name := strings.Join(r.field, ".")
	if raw, ok := lookUp(members, r.field); ok {
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil || text == nil {
			return Document{}, fmt.Errorf("field %q is %.100s, want a string", name, raw)
		}
		ids, err := r.encode(*text)
		return Document{IDs: ids, Bytes: len(*text)}, err
	}
	raw, ok := members["ids"]
	if !ok {
		return Document{}, fmt.Errorf("has neither a field %q nor \"ids\"", name)
	}
	var list []*int32 // null would pass for 0
	if err := json.Unmarshal(raw, &list); err != nil || list == nil || slices.Contains(list, nil) {
		return Document{}, fmt.Errorf("field \"ids\" is %.100s, want a list of token ids", raw)
	}
	d := Document{IDs: make([]int32, len(list))}
	for i, id := range list {
		d.IDs[i] = *id
	}
	return d, nil
}

// lookUp follows a path of names through objects.
func lookUp(members map[string]json.RawMessage, path []string) (raw json.RawMessage, ok bool) {
	for i, name := range path {
		if raw, ok = members[name]; !ok || i == len(path)-1 {
			break
		}
		members = nil
		if json.Unmarshal(raw, &members) != nil {
			return nil, false
		}
	}
	return raw, ok
}
