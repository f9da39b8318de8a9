package tokenize

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what the pre-tokenizer patterns can tell about a character.
type class uint8

const (
	other  class = iota // none of the three below: punctuation, marks, symbols, controls
	letter              // \p{L}
	number              // \p{N}
	space               // \s, that is White_Space
)

// Letters and numbers of Unicode 15.1 and 16.0, which Go's tables (15.0) lack.
var laterLetters = [][2]rune{
	{0x1C89, 0x1C8A}, {0xA7CB, 0xA7CD}, {0xA7DA, 0xA7DC}, {0x105C0, 0x105F3}, {0x10D4A, 0x10D65},
	{0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389}, {0x1138B, 0x1138B},
	{0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7}, {0x113D1, 0x113D1},
	{0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA}, {0x16100, 0x1611D},
	{0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED}, {0x1E5F0, 0x1E5F0},
	{0x2EBF0, 0x2EE5D},
}

var laterNumbers = [][2]rune{
	{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x16130, 0x16139},
	{0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA},
}

const pageBits = 8

// classTable maps a code point to its class in two levels; equal pages are shared (about 30 KiB).
type classTable struct {
	ascii [utf8.RuneSelf]class
	index [(unicode.MaxRune + 1) >> pageBits]uint16
	pages [][1 << pageBits]class
}

// classes is built once, on the first Parse: about 5 ms.
var classes = sync.OnceValue(buildClasses)

func buildClasses() *classTable {
	flat := make([]class, unicode.MaxRune+1)
	mark := func(c class, table *unicode.RangeTable, later [][2]rune) {
		for _, r := range table.R16 {
			for x := uint32(r.Lo); x <= uint32(r.Hi); x += uint32(r.Stride) {
				flat[x] = c
			}
		}
		for _, r := range table.R32 {
			for x := r.Lo; x <= r.Hi; x += r.Stride {
				flat[x] = c
			}
		}
		for _, r := range later {
			for x := r[0]; x <= r[1]; x++ {
				flat[x] = c
			}
		}
	}
	mark(letter, unicode.L, laterLetters)
	mark(number, unicode.N, laterNumbers)
	mark(space, unicode.White_Space, nil)
	t := &classTable{}
	copy(t.ascii[:], flat)
	seen := map[[1 << pageBits]class]uint16{}
	for i := range t.index {
		var page [1 << pageBits]class
		copy(page[:], flat[i<<pageBits:])
		n, ok := seen[page]
		if !ok {
			n = uint16(len(t.pages))
			seen[page] = n
			t.pages = append(t.pages, page)
		}
		t.index[i] = n
	}
	return t
}

func (t *classTable) of(r rune) class {
	return t.pages[t.index[r>>pageBits]][r&(1<<pageBits-1)]
}

// decode reads the character of more than one byte at s[i:], where s is valid UTF-8.
func decode(s string, i int) (r rune, size int) {
	switch b := s[i]; {
	case b < 0xE0:
		return rune(b&0x1F)<<6 | rune(s[i+1]&0x3F), 2
	case b < 0xF0:
		return decode3(s, i), 3
	default:
		return rune(b&0x07)<<18 | rune(s[i+1]&0x3F)<<12 | rune(s[i+2]&0x3F)<<6 |
			rune(s[i+3]&0x3F), 4
	}
}

// decode3 reads a character of three bytes, as nearly all of Chinese are. The compiler inlines it.
func decode3(s string, i int) rune {
	return rune(s[i]&0x0F)<<12 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F)
}

// at gives the class and the length in bytes of the character at s[i:], which must not be empty.
func (t *classTable) at(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return t.ascii[b], 1
	}
	r, n := decode(s, i)
	return t.of(r), n
}

// run returns the end of the run of characters of class c that starts at s[i:].
func (t *classTable) run(s string, i int, c class) int {
	if c == letter {
		return t.letters(s, i)
	}
	for i < len(s) {
		got, n := t.at(s, i)
		if got != c {
			break
		}
		i += n
	}
	return i
}

// letters is run for letters, which are nearly all of a text.
func (t *classTable) letters(s string, i int) int {
	for {
		if i+8 <= len(s) {
			n := letters8(load64(s, i))
			if i += n; n == 8 {
				continue
			}
		} else {
			i = asciiLetters(s, i)
		}
		if i == len(s) || s[i] < utf8.RuneSelf {
			return i
		}
		for i < len(s) && s[i] >= utf8.RuneSelf {
			r, n := rune(0), 3
			if s[i]&0xF0 == 0xE0 {
				r = decode3(s, i)
			} else {
				r, n = decode(s, i)
			}
			if t.of(r) != letter {
				return i
			}
			i += n
		}
	}
}
