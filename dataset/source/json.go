package source

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of arrays and objects, and with it the stack.
const maxDepth = 10000

// parser walks over one JSON text that is valid UTF-8. encoding/json would need two passes (one
// to check, one to find the field), and is slower than the tokenizer behind it should have to wait.
type parser struct {
	b []byte
	i int
}

func (p *parser) fail(what string) *problem {
	if p.i >= len(p.b) {
		what = "the JSON ends too early"
	}
	return &problem{at: p.i, what: what, fix: fixJSON}
}

// peek returns the next byte, or 0 at the end.
func (p *parser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) take(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) space() {
	for p.i < len(p.b) && isSpace(p.b[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// members walks over an object behind its '{', through its '}'. visit gets each key as it is
// written, and consumes the value.
func (p *parser) members(visit func(p *parser, key []byte, keyAt int) *problem) *problem {
	p.space()
	if p.take('}') {
		return nil
	}
	for {
		p.space()
		at := p.i
		if p.peek() != '"' {
			return p.fail("a key is missing")
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		p.space()
		if !p.take(':') {
			return p.fail("no colon after a key")
		}
		p.space()
		if err := visit(p, key, at); err != nil {
			return err
		}
		p.space()
		if p.take('}') {
			return nil
		}
		if !p.take(',') {
			return p.fail("no comma between members")
		}
	}
}

// value walks over any value. depth is the number of containers around it.
func (p *parser) value(depth int) *problem {
	switch c := p.peek(); {
	case depth >= maxDepth && (c == '{' || c == '['):
		return p.fail("nested too deeply")
	case c == '"':
		_, err := p.str()
		return err
	case c == '{':
		p.i++
		return p.members(func(p *parser, _ []byte, _ int) *problem { return p.value(depth + 1) })
	case c == '[':
		p.i++
		return p.elements(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return p.literal("true")
	case c == 'f':
		return p.literal("false")
	case c == 'n':
		return p.literal("null")
	}
	return p.fail("not a JSON value")
}

func (p *parser) elements(depth int) *problem {
	p.space()
	if p.take(']') {
		return nil
	}
	for {
		p.space()
		if err := p.value(depth); err != nil {
			return err
		}
		p.space()
		if p.take(']') {
			return nil
		}
		if !p.take(',') {
			return p.fail("no comma between elements")
		}
	}
}

func (p *parser) literal(word string) *problem {
	for k := range len(word) {
		if !p.take(word[k]) {
			return p.fail("not a JSON value")
		}
	}
	return nil
}

func (p *parser) number() *problem {
	p.take('-')
	if !p.take('0') && !p.digits() {
		return p.fail("not a JSON number")
	}
	if p.take('.') && !p.digits() {
		return p.fail("not a JSON number")
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if !p.digits() {
			return p.fail("not a JSON number")
		}
	}
	return nil
}

func (p *parser) digits() bool {
	from := p.i
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i > from
}

// str walks over a string and returns what stands between its quotes, escapes checked but kept.
func (p *parser) str() ([]byte, *problem) {
	from := p.i + 1
	p.i = from
	for {
		p.i += plainPrefix(p.b[p.i:])
		if p.i >= len(p.b) {
			return nil, p.fail("")
		}
		switch p.b[p.i] {
		case '"':
			p.i++
			return p.b[from : p.i-1], nil
		case '\\':
			n := escapeLen(p.b[p.i:])
			if n == 0 {
				return nil, p.fail("bad escape in a string")
			}
			p.i += n
		default:
			return nil, p.fail("control character in a string")
		}
	}
}

// Constants that hold one byte eight times.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	quotes = '"' * ones
	slants = '\\' * ones
	spaces = ' ' * ones
)

// plainPrefix is the number of bytes before the first quote, backslash or control character. It
// looks at eight at a time: subtracting n from each byte of x borrows into its high bit if it was
// below n, and the lowest bit that is set by a borrow from below is never the first.
func plainPrefix(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slant := x^quotes, x^slants
		hit := ((quote - ones) &^ quote) | ((slant - ones) &^ slant) | ((x - spaces) &^ x)
		if hit &= highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

// escapeLen is the length of the escape at the start of b; 0 if there is no valid one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hexDigit is the value of a digit plus one; 0 for what is none.
var hexDigit = func() (t [256]uint8) {
	for i, c := range "0123456789abcdef" {
		t[c] = uint8(i) + 1
		t[unicode.ToUpper(c)] = uint8(i) + 1
	}
	return t
}()

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	r := rune(0)
	for _, c := range b[:4] {
		d := hexDigit[c]
		if d == 0 {
			return 0, false
		}
		r = r<<4 | rune(d-1)
	}
	return r, true
}

// unquote resolves the escapes of a string that str has checked; false for half a surrogate pair.
func unquote(raw []byte) (string, bool) {
	next := bytes.IndexByte(raw, '\\')
	if next < 0 {
		return string(raw), true
	}
	var out strings.Builder
	out.Grow(len(raw))
	for next >= 0 {
		out.Write(raw[:next])
		raw = raw[next:]
		if raw[1] != 'u' {
			out.WriteByte(unescape(raw[1]))
			raw = raw[2:]
		} else {
			r, _ := hex4(raw[2:])
			raw = raw[6:]
			if utf16.IsSurrogate(r) {
				if escapeLen(raw) != 6 {
					return "", false
				}
				low, _ := hex4(raw[2:])
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return "", false
				}
				raw = raw[6:]
			}
			out.WriteRune(r)
		}
		next = bytes.IndexByte(raw, '\\')
	}
	out.Write(raw)
	return out.String(), true
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
