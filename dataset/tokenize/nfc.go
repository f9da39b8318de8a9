package tokenize

import (
	"strings"

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
	var out strings.Builder
	out.Grow(len(s))
	for {
		i := strings.IndexFunc(s, isNewMark)
		if i < 0 {
			out.WriteString(norm.NFC.String(s))
			return out.String()
		}
		out.WriteString(norm.NFC.String(s[:i]))
		end := i + 1
		for end < len(s) && s[end]&0xC0 == 0x80 {
			end++
		}
		out.WriteString(s[i:end])
		s = s[end:]
	}
}
