package source

import (
	"bytes"
	"fmt"
	"strings"
)

// The fixes that errors about a record offer.
const (
	fixUTF8   = "convert the file to UTF-8"
	fixJSON   = "write one JSON object a line"
	fixMark   = "save the file as UTF-8 without one"
	fixEscape = `write the character itself, or both halves of its \u pair`
	fixTwice  = "keep one of them"
)

// ParsePath splits a text_field at its dots; `\\.` is a dot of a name.
func ParsePath(field string) []string {
	path := []string{""}
	for i := 0; i < len(field); i++ {
		last := &path[len(path)-1]
		switch {
		case field[i] == '\\' && i+1 < len(field) && field[i+1] == '.':
			i++
			*last += "."
		case field[i] == '.':
			path = append(path, "")
		default:
			*last += field[i : i+1]
		}
	}
	return path
}

// ParseRecord returns the string under a field of a JSON line, such as text or meta.body.text. It
// is as strict as RFC 8259 about the whole line, and stricter about the field: it must be there,
// once, as a string of Unicode characters (an escaped half of a surrogate pair is none).
func ParseRecord(line []byte, field string) (string, error) {
	if at := invalidUTF8(line); at >= 0 {
		return "", &problem{at: at, what: "invalid UTF-8", fix: fixUTF8}
	}
	text, err := parseRecord(line, ParsePath(field))
	if err != nil {
		return "", err // not a nil *problem in an error
	}
	return text, nil
}

// parseRecord is ParseRecord of a line that is known to be UTF-8.
func parseRecord(line []byte, path []string) (string, *problem) {
	if bytes.HasPrefix(line, []byte("\ufeff")) {
		return "", &problem{what: "a byte order mark before the JSON object", fix: fixMark}
	}
	p := parser{b: line}
	p.space()
	if !p.take('{') {
		return "", p.fail("not a JSON object")
	}
	m := members{path: path}
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
	case m.found < len(path):
		what := fmt.Sprintf("no field %q", strings.Join(path[:m.found+1], "."))
		return "", &problem{at: m.at, what: what, fix: m.fix()}
	}
	return m.text, nil
}

// members looks for the text field among the members of the record, and of the objects on its path.
type members struct {
	path  []string
	depth int // of the object being looked through
	found int // names of the path that were found
	at    int // where the object starts that lacks the next one
	text  string
	err   *problem  // kept until the line is known to be JSON
	names [5][]byte // of the first members of that object, for the message
	named int
}

func (m *members) visit(p *parser, key []byte, keyAt int) *problem {
	if !m.isNext(key) {
		if m.depth == m.found && m.named < len(m.names) {
			m.names[m.named] = key
			m.named++
		}
		return p.value(m.depth + 1)
	}
	at := p.i
	if m.found > m.depth {
		m.fail(&problem{at: keyAt, what: fmt.Sprintf("field %q appears twice", m.name()),
			fix: fixTwice})
		return p.value(m.depth + 1)
	}
	m.found = m.depth + 1
	if m.found < len(m.path) {
		return m.enter(p, at)
	}
	if p.peek() != '"' {
		m.fail(m.wrongKind(p, at, "a string"))
		return p.value(m.depth + 1)
	}
	raw, err := p.str()
	if err != nil {
		return err
	}
	var ok bool
	if m.text, ok = unquote(raw); !ok {
		m.fail(&problem{at: at, what: fmt.Sprintf("field %q has half a surrogate pair", m.name()),
			fix: fixEscape})
	}
	return nil
}

// enter looks through an object on the path.
func (m *members) enter(p *parser, at int) *problem {
	m.at, m.named = at, 0
	if !p.take('{') {
		m.fail(m.wrongKind(p, at, "an object"))
		return p.value(m.depth + 1)
	}
	m.depth++
	err := p.members(m.visit)
	m.depth--
	return err
}

// isNext answers whether a key is the name looked for in this object.
func (m *members) isNext(key []byte) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == m.path[m.depth]
	}
	name, ok := unquote(key)
	return ok && name == m.path[m.depth]
}

// name is the path of the field being looked at.
func (m *members) name() string { return strings.Join(m.path[:m.depth+1], ".") }

func (m *members) wrongKind(p *parser, at int, want string) *problem {
	what := fmt.Sprintf("field %q is %s, not %s", m.name(), kindOf(p.peek()), want)
	return &problem{at: at, what: what, fix: m.fix()}
}

func (m *members) fail(err *problem) {
	if m.err == nil {
		m.err = err
	}
}

func (m *members) fix() string {
	const fix = "name the field that holds the text in the source's text_field"
	var names []string
	for _, key := range m.names[:m.named] {
		if name, ok := unquote(key); ok && len(name) <= 40 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return fix
	}
	where := "this record"
	if m.depth < m.found && m.found < len(m.path) {
		where = fmt.Sprintf("%q", strings.Join(m.path[:m.found], "."))
	}
	return fmt.Sprintf("%s (%s has %s)", fix, where, strings.Join(names, ", "))
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
	case '"':
		return "a string"
	}
	return "a number"
}
