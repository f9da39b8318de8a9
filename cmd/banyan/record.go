package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// field returns the value of one field of a line that is a JSON object. form is what a good line
// looks like. encoding/json would let bytes that are no UTF-8 pass as U+FFFD.
func field(line []byte, name, form string) (json.RawMessage, error) {
	if !utf8.Valid(line) {
		return nil, fmt.Errorf("byte %d is not UTF-8; convert the input to UTF-8", invalidAt(line))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil || members == nil {
		return nil, fmt.Errorf("%s; write %s", notObject(line, err), form)
	}
	value, ok := members[name]
	if !ok {
		return nil, fmt.Errorf("no field %q%s; write %s", name, others(members), form)
	}
	return value, nil
}

// notObject says what a line is that should have been a JSON object.
func notObject(line []byte, err error) string {
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		return "want a JSON object, the line is empty"
	case bytes.HasPrefix(line, []byte("\ufeff")):
		return "want a JSON object, the line begins with a byte order mark"
	case errors.As(err, &syntax) && int(syntax.Offset) >= len(line) &&
		strings.Contains(syntax.Error(), "unexpected end"):
		return "want a JSON object, the line ends in the middle of it"
	case errors.As(err, &syntax):
		at := max(int(syntax.Offset), 1)
		r, _ := utf8.DecodeRune(line[at-1:])
		return fmt.Sprintf("want a JSON object, byte %d (%q) is not JSON", at, r)
	}
	return "want a JSON object, found " + kindOf(line)
}

// others names fields that a line has instead of the one looked for.
func others(members map[string]json.RawMessage) string {
	const shown = 5
	if len(members) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(members))
	more := ""
	if len(names) > shown {
		names, more = names[:shown], " .."
	}
	return fmt.Sprintf(", but %.200q%s", names, more)
}

// kindOf names the kind of a JSON value.
func kindOf(value []byte) string {
	switch value = bytes.TrimSpace(value); value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return fmt.Sprintf("the number %.40s", value)
}

// textOf reads the field "text" of a line.
func textOf(line []byte) (string, error) {
	const form = `{"text": "..."}`
	value, err := field(line, "text", form)
	if err != nil {
		return "", err
	}
	if value[0] != '"' {
		return "", fmt.Errorf(`"text" is %s, not a string; write %s`, kindOf(value), form)
	}
	var text string
	err = json.Unmarshal(value, &text)
	return text, err
}

// idsOf reads the field "ids" of a line, each below vocab.
func idsOf(line []byte, vocab int) ([]int32, error) {
	const form = `{"ids": [1, 2]}`
	value, err := field(line, "ids", form)
	if err != nil {
		return nil, err
	}
	var ids []int32
	if value[0] == '[' && !bytes.Contains(value, []byte("null")) && // null would pass for 0
		json.Unmarshal(value, &ids) == nil {
		return ids, inside(ids, vocab)
	}
	var list []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &list) != nil {
		return nil, fmt.Errorf(`"ids" is %s, not a list; write %s`, kindOf(value), form)
	}
	for i, x := range list {
		var id *int32
		if json.Unmarshal(x, &id) != nil || id == nil {
			return nil, fmt.Errorf("ids[%d] is %s, not an id, 0 to %d", i, kindOf(x), vocab-1)
		}
	}
	return nil, fmt.Errorf(`"ids" is no list of ids; write %s`, form)
}

func inside(ids []int32, vocab int) error {
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("ids[%d] is %d, outside the vocabulary; the last id is %d", i, id, vocab-1)
		}
	}
	return nil
}

// invalidAt is the place of the first byte that is not UTF-8, counted from 1.
func invalidAt(line []byte) int {
	at := 0
	for {
		r, n := utf8.DecodeRune(line[at:])
		if r == utf8.RuneError && n < 2 {
			return at + 1
		}
		at += n
	}
}
