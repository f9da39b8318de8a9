package sentencepiece

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// charsmap is a precompiled map of strings to strings: a double array (Darts) of what is replaced,
// and the replacements, each ended by a zero byte.
//
//	uint32 size of the array | array of uint32 | replacements
//
// A unit of the array, by bits: 31 it is a value (0-30), else 0-7 the byte that leads to it, 8 a
// value hangs on it, 9 the offset counts 256 each, 10-30 offset to its children.
type charsmap struct {
	units []uint32
	text  string
}

func readCharsmap(place string, blob []byte) (*charsmap, error) {
	if len(blob) == 0 {
		return nil, nil
	}
	bad := func(format string, args ...any) (*charsmap, error) {
		return nil, fmt.Errorf("%s: %s: %w", place, fmt.Sprintf(format, args...), ErrInvalid)
	}
	if len(blob) < 4 {
		return bad("%d bytes", len(blob))
	}
	size := uint64(binary.LittleEndian.Uint32(blob))
	if size >= uint64(len(blob)-4) || size < 1024 || size%1024 != 0 {
		return bad("an array of %d bytes in %d", size, len(blob))
	}
	text := blob[4+size:]
	if text[len(text)-1] != 0 {
		return bad("the last replacement has no end")
	}
	if !utf8.Valid(text) {
		return bad("a replacement is not UTF-8")
	}
	c := &charsmap{units: make([]uint32, size/4), text: string(text)}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(blob[4+4*i:])
	}
	for i, u := range c.units {
		if !c.valid(i, u) {
			return bad("unit %d of the array leads nowhere", i)
		}
	}
	return c, nil
}

const (
	valueBit = 1 << 31

	// mostNested is how many rules that begin with one another the peer looks at.
	mostNested = 32
)

func isValue(u uint32) bool  { return u&valueBit != 0 }
func hasValue(u uint32) bool { return u>>8&1 != 0 }

func offset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }

// valid checks a unit: all that a walk from it may touch is there, and its value is the start of a
// replacement's character.
func (c *charsmap) valid(i int, u uint32) bool {
	if isValue(u) {
		at := u &^ valueBit
		return i > 0 && uint64(at) < uint64(len(c.text)) && utf8.RuneStart(c.text[at])
	}
	child := uint32(i) ^ offset(u)
	if int(child|0xFF) >= len(c.units) {
		return false
	}
	if i == 0 && (u&0xFF != 0 || hasValue(u) || offset(u) == 0) {
		return false
	}
	return !hasValue(u) || isValue(c.units[child])
}

// longest finds the longest rule at the start of s: how much of s it replaces, 0 if none does, and
// by what. alive says that a longer s might match a longer rule.
func (c *charsmap) longest(s string) (size int, replacement string, alive bool) {
	at := offset(c.units[0])
	value, nested := uint32(0), 0
	for i := range len(s) {
		b := uint32(s[i])
		at ^= b
		u := c.units[at]
		if u&(valueBit|0xFF) != b {
			return size, c.replacement(size, value), false
		}
		at ^= offset(u)
		if hasValue(u) {
			if nested++; nested <= mostNested {
				size, value = i+1, c.units[at]&^valueBit
			}
		}
	}
	return size, c.replacement(size, value), true
}

func (c *charsmap) replacement(size int, value uint32) string {
	if size == 0 {
		return ""
	}
	s := c.text[value:]
	return s[:strings.IndexByte(s, 0)]
}

// plain answers whether no rule begins with s, whatever follows.
func (c *charsmap) plain(s string) bool {
	size, _, alive := c.longest(s)
	return size == 0 && !alive
}
