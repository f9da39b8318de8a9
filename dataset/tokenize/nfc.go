package tokenize

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// newMarks are the characters that Go's NFC moves or composes and the peer's older tables (of
// Unicode 9) do not know: marks added since, and the parts of U+11938. Found by comparing every
// code point between marks of other classes.
var newMarks = [][2]rune{
	{0x7FD, 0x7FD}, {0x898, 0x89F}, {0x8CA, 0x8D3}, {0x9FE, 0x9FE}, {0xC3C, 0xC3C},
	{0xD3B, 0xD3C}, {0xEBA, 0xEBA}, {0x1715, 0x1715}, {0x1ABF, 0x1ACE}, {0x1DF6, 0x1DFA},
	{0xA82C, 0xA82C}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
	{0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
	{0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11935, 0x11935},
	{0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
	{0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
	{0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1},
	{0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
	{0x1E4EC, 0x1E4EF},
}

func isNewMark(r rune) bool {
	if r < newMarks[0][0] {
		return false
	}
	for _, m := range newMarks {
		if r <= m[1] {
			return r >= m[0]
		}
	}
	return false
}

// nfc is NFC as the peer does it: a new mark is a character that stays where it is, and what
// stands on its two sides is normalized apart. Text that Go finds normal is normal there too.
func nfc(s string) string {
	if norm.NFC.IsNormalString(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexFunc(s, isNewMark)
		if i < 0 {
			return string(appendNFC(out, s))
		}
		out = appendNFC(out, s[:i])
		_, size := utf8.DecodeRuneInString(s[i:])
		out = append(out, s[i:i+size]...)
		s = s[i+size:]
	}
}

// safeMarks is how many characters after a starter Go's NFC surely takes as they are: it puts a
// joiner, U+034F, behind each 30 marks (the Stream-Safe Text Format), which is not NFC. A character
// stands for 3 marks at most.
const safeMarks = 10

// appendNFC normalizes text without new marks.
func appendNFC(out []byte, s string) []byte {
	done, start, count := 0, 0, 0 // start: of a starter with all that may change with it
	take := func(end int) {
		if count > safeMarks {
			out = append(out, norm.NFC.String(s[done:start])...)
			out = appendMarks(out, s[start:end])
			done = end
		}
		start, count = end, 0
	}
	for i, r := range s {
		if r < utf8.RuneSelf || norm.NFC.PropertiesString(s[i:]).BoundaryBefore() {
			take(i)
		}
		count++
	}
	take(len(s))
	return append(out, norm.NFC.String(s[done:])...) // AppendString composes with what is there
}

// mark is a decomposed character and its canonical combining class.
type mark struct {
	r     rune
	class uint8
}

// appendMarks normalizes a starter with any number of marks, by the book (Unicode, 3.11):
// decompose, order marks by class, and compose each with the starter that nothing keeps it from.
func appendMarks(out []byte, s string) []byte {
	var marks []mark
	for _, r := range s {
		for _, r := range norm.NFD.String(string(r)) {
			marks = append(marks, mark{r, norm.NFD.PropertiesString(string(r)).CCC()})
		}
	}
	for i := 0; i < len(marks); {
		end := i
		for end < len(marks) && marks[end].class != 0 {
			end++
		}
		slices.SortStableFunc(marks[i:end], func(a, b mark) int { return int(a.class) - int(b.class) })
		i = end + 1
	}
	starter, kept := -1, 0
	for _, m := range marks {
		if starter >= 0 {
			if kept-1 == starter || marks[kept-1].class < m.class {
				if r, ok := compose(marks[starter].r, m.r); ok {
					marks[starter].r = r
					continue
				}
			}
		}
		if m.class == 0 {
			starter = kept
		}
		marks[kept] = m
		kept++
	}
	for _, m := range marks[:kept] {
		out = utf8.AppendRune(out, m.r)
	}
	return out
}

// compose is the one character that NFC makes of two.
func compose(a, b rune) (rune, bool) {
	both := norm.NFC.String(string([]rune{a, b}))
	r, size := utf8.DecodeRuneInString(both)
	return r, size == len(both)
}

// nfcTable is a bit map of the characters up to lastFlag: set for those that NFC may change, alone
// or after another.
type nfcTable [(lastFlag + 1) / 64]uint64

// lastFlag covers the planes of texts. What is above is looked at by nfc itself.
const lastFlag = 0x2FFFF

// nfcFlags is built once, for the first tokenizer that needs it.
var nfcFlags = sync.OnceValue(func() *nfcTable {
	t := new(nfcTable)
	for r := rune(0); r <= lastFlag; r++ {
		s := string(r)
		if p := norm.NFC.PropertiesString(s); !p.BoundaryBefore() || !norm.NFC.IsNormalString(s) {
			t[r/64] |= 1 << (r % 64)
		}
	}
	return t
})

// keeps says that s is UTF-8 and that NFC does not change it, as no character of it can change. If
// it says no, the text may yet be so.
func (t *nfcTable) keeps(s string) bool {
	for i := 0; i < len(s); {
		if i+8 <= len(s) && load64(s, i)&each(0x80) == 0 {
			i += 8
			continue
		}
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := rune(0), 3
		// Three bytes, but for what may be too small a number or a surrogate: most of Chinese.
		if b := s[i]; b > 0xE0 && b < 0xF0 && b != 0xED && i+3 <= len(s) &&
			s[i+1]&0xC0 == 0x80 && s[i+2]&0xC0 == 0x80 {
			r = rune(b&0x0F)<<12 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F)
		} else if r, n = utf8.DecodeRuneInString(s[i:]); n == 1 {
			return false
		}
		if r > lastFlag || t[r/64]>>(r%64)&1 != 0 {
			return false
		}
		i += n
	}
	return true
}
