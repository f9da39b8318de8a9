package source

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The fixes that errors about a record offer.
const (
	fixUTF8   = "convert the file to UTF-8"
	fixJSON   = "write one JSON object a line"
	fixEscape = `write the character itself, or both halves of its \u pair`
	fixTwice  = "keep one of them"
)

// ParseRecord returns the string under the top-level field of a JSON line. It is as strict as
// RFC 8259 about the whole line, and stricter about the field: it must be there, once, as a
// string of Unicode characters (an escaped half of a surrogate pair is none).
func ParseRecord(line []byte, field string) (string, error) {
	text, err := parseRecord(line, field)
	if err != nil {
		return "", err // not a nil *problem in an error
	}
	return text, nil
}

func parseRecord(line []byte, field string) (string, *problem) {
	if at := invalidUTF8(line); at >= 0 {
		return "", &problem{at, "invalid UTF-8", fixUTF8}
	}
	p := &parser{b: line}
	p.space()
	if !p.take('{') {
		return "", p.fail("not a JSON object")
	}
	m := members{field: field}
	if err := p.members(m.visit); err != nil {
		return "", err
	}
	p.space()
	if p.i < len(line) {
		return "", p.fail("data after the JSON object")
	}
	switch {
	case m.err != nil:
		return "", m.err
	case !m.found:
		return "", &problem{0, fmt.Sprintf("no field %q", field), m.fix()}
	}
	return m.text, nil
}

// members looks for the text field among the members of the record.
type members struct {
	field string
	found bool
	text  string
	err   *problem // kept until the line is known to be JSON
	names []string // a few, for the message
}

func (m *members) visit(p *parser, key []byte, keyAt int) *problem {
	name, ok := unquote(key)
	if !ok || name != m.field {
		if len(m.names) < 5 && len(name) <= 40 {
			m.names = append(m.names, name)
		}
		return p.value(1)
	}
	at := p.i
	if m.found && m.err == nil {
		m.err = &problem{keyAt, fmt.Sprintf("field %q appears twice", m.field), fixTwice}
	}
	m.found = true
	if p.peek() != '"' {
		if err := p.value(1); err != nil {
			return err
		}
		what := fmt.Sprintf("field %q is %s, not a string", m.field, kindOf(p.b[at]))
		m.fail(&problem{at, what, m.fix()})
		return nil
	}
	raw, err := p.str()
	if err != nil {
		return err
	}
	if m.text, ok = unquote(raw); !ok {
		m.fail(&problem{at, fmt.Sprintf("field %q has half a surrogate pair", m.field), fixEscape})
	}
	return nil
}

func (m *members) fail(err *problem) {
	if m.err == nil {
		m.err = err
	}
}

func (m *members) fix() string {
	const fix = "name the field that holds the text in the source's text_field"
	if len(m.names) == 0 {
		return fix
	}
	return fmt.Sprintf("%s (this record has %s)", fix, strings.Join(m.names, ", "))
}

func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// invalidUTF8 returns the index of the first byte that is not part of a character, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
