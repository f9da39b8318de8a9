package pieces

import "unicode/utf8"

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

// joinTable says which two characters may come side by side in one piece. It may say yes too often,
// which costs time and changes nothing; it never says no where the answer is yes.
type joinTable struct {
	shift uint
	bits  []uint64
}

// newJoinTable makes room for pairs of characters at 16 bits each.
func newJoinTable(pairs int) joinTable {
	bits := uint(10)
	for 1<<bits < 16*pairs {
		bits++
	}
	return joinTable{shift: 64 - bits, bits: make([]uint64, 1<<bits/64)}
}

func (t *joinTable) set(left, right int32) {
	_, hash := hashPair(left, right)
	bit := hash >> t.shift
	t.bits[bit/64] |= 1 << (bit % 64)
}

func (t *joinTable) has(left, right int32) bool {
	_, hash := hashPair(left, right)
	bit := hash >> t.shift
	return t.bits[bit/64]>>(bit%64)&1 != 0
}

// cutter cuts text into segments that no piece crosses.
type cutter struct {
	chars *charTable
	joins joinTable
	// cutAt is a symbol before which a segment always ends; strange: there is none.
	cutAt int32
}

// segment returns the end of the segment that begins at s[i] and appends its symbols to syms.
func (c *cutter) segment(s []byte, i int, syms []int32) (int, []int32) {
	symbol, size := c.chars.at(s, i)
	syms = append(syms, symbol)
	i += size
	for symbol >= 0 && i < len(s) {
		next, size := c.chars.at(s, i)
		if next < 0 || next == c.cutAt || !c.joins.has(symbol, next) {
			break
		}
		syms = append(syms, next)
		symbol = next
		i += size
	}
	return i, syms
}
