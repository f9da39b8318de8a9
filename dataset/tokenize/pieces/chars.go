package pieces

import (
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

const (
	pageBits = 7
	pageSize = 1 << pageBits
	lastRune = 0x10FFFF

	// strange is the symbol of a character that stands in no piece.
	strange = -1
)

// charTable maps characters to symbols. Pages without any share the first.
type charTable struct {
	pages  [lastRune>>pageBits + 1]uint16
	blocks [][pageSize]int32
}

func newCharTable() *charTable {
	t := &charTable{blocks: make([][pageSize]int32, 1)}
	for i := range t.blocks[0] {
		t.blocks[0][i] = strange
	}
	return t
}

func (t *charTable) set(r rune, symbol int32) {
	page := &t.pages[r>>pageBits]
	if *page == 0 {
		*page = uint16(len(t.blocks))
		t.blocks = append(t.blocks, t.blocks[0])
	}
	t.blocks[*page][r%pageSize] = symbol
}

func (t *charTable) get(r rune) int32 {
	return t.blocks[t.pages[r>>pageBits]][r%pageSize]
}

// at is the symbol and the size of the character that begins at s[i]. s is valid UTF-8.
func (t *charTable) at(s []byte, i int) (symbol int32, size int) {
	c := s[i]
	if c < utf8.RuneSelf {
		return t.blocks[t.pages[0]][c], 1
	}
	if c >= 0xE0 && c < 0xF0 && i+2 < len(s) {
		r := rune(c&0x0F)<<12 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F)
		return t.get(r), 3
	}
	r, size := utf8.DecodeRune(s[i:])
	return t.get(r), size
}

// cutter cuts text into segments that no piece crosses.
type cutter struct {
	chars *charTable
	joins joinTable
	ascii [utf8.RuneSelf][2]uint64 // the same of ASCII, exactly: a bit for the right character
}

// joinTable says which two characters may come side by side in one piece. It may say yes too often,
// which costs time and changes nothing; it never says no where the answer is yes.
type joinTable struct {
	shift uint
	bits  []uint64
}

// join is two characters that may come side by side.
type join struct{ left, right rune }

// newCutter makes a cutter of characters by symbol; none but those of chars are in any pair.
func newCutter(chars *charTable, joins map[join]bool) cutter {
	width := uint(10)
	for 1<<width < 16*len(joins) {
		width++
	}
	c := cutter{chars: chars, joins: joinTable{64 - width, make([]uint64, 1<<width/64)}}
	for j := range joins {
		c.joins.set(chars.get(j.left), chars.get(j.right))
		if j.left < utf8.RuneSelf && j.right < utf8.RuneSelf {
			c.ascii[j.left][j.right/64] |= 1 << (j.right % 64)
		}
	}
	return c
}

func (t *joinTable) set(left, right int32) {
	bit := merge.Hash(left, right) >> t.shift
	t.bits[bit/64] |= 1 << (bit % 64)
}

func (t *joinTable) has(left, right int32) bool {
	bit := merge.Hash(left, right) >> t.shift
	return left >= 0 && right >= 0 && t.bits[bit/64]>>(bit%64)&1 != 0
}

// segment returns the end of the segment that begins at s[i], its number of characters, and the
// symbol of its first.
func (c *cutter) segment(s []byte, i int) (end, chars int, first int32) {
	left, size := c.chars.at(s, i)
	first = left
	for chars = 1; ; chars++ {
		before := s[i]
		if i += size; i == len(s) {
			return i, chars, first
		}
		after := s[i]
		if before < utf8.RuneSelf && after < utf8.RuneSelf {
			if c.ascii[before][after/64]>>(after%64)&1 == 0 {
				return i, chars, first
			}
			continue // with size 1
		}
		if before < utf8.RuneSelf {
			left, _ = c.chars.at(s, i-1)
		}
		right, n := c.chars.at(s, i)
		if !c.joins.has(left, right) {
			return i, chars, first
		}
		left, size = right, n
	}
}

// symbols appends the symbols of a segment to syms.
func (c *cutter) symbols(syms []int32, segment []byte) []int32 {
	for i := 0; i < len(segment); {
		symbol, size := c.chars.at(segment, i)
		syms = append(syms, symbol)
		i += size
	}
	return syms
}
