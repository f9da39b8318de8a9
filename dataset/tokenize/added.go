package tokenize

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is one entry of added_tokens.
type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// matcher finds added tokens in text: the leftmost place where any begins, the longest there.
type matcher struct {
	byFirst [256][]addedToken // by first byte, longest first
	only    int               // the first byte they all share; -1: several, -2: no tokens
}

func newMatcher(tokens []addedToken) *matcher {
	m := &matcher{only: -2}
	for _, t := range tokens {
		b := t.Content[0]
		if m.only == -2 {
			m.only = int(b)
		} else if m.only != int(b) {
			m.only = -1
		}
		m.byFirst[b] = append(m.byFirst[b], t)
	}
	for _, list := range m.byFirst {
		slices.SortFunc(list, func(a, b addedToken) int { return len(b.Content) - len(a.Content) })
	}
	return m
}

// next finds the first token at or after s[from:]. at is its start; nil: none.
func (m *matcher) next(s string, from int) (t *addedToken, at int) {
	if m.only == -2 {
		return nil, 0
	}
	for i := from; i < len(s); i++ {
		if m.only >= 0 {
			skip := strings.IndexByte(s[i:], byte(m.only))
			if skip < 0 {
				return nil, 0
			}
			i += skip
		}
		list := m.byFirst[s[i]]
		for k := range list {
			if strings.HasPrefix(s[i:], list[k].Content) {
				return &list[k], i
			}
		}
	}
	return nil, 0
}

// split calls gap for each stretch of s between added tokens and token for each of these, in
// order. A token with lstrip or rstrip swallows the white space on that side; one with single_word
// counts only where no character of a word touches it.
func (m *matcher) split(s string, gap func(string), token func(int32)) {
	done, from := 0, 0
	for {
		t, at := m.next(s, from)
		if t == nil {
			break
		}
		from = at + len(t.Content)
		start, stop := at, from
		if t.SingleWord && (endsInWord(s[:start]) || startsWithWord(s[stop:])) {
			continue
		}
		if t.LStrip {
			start = max(done, len(strings.TrimRightFunc(s[:at], unicode.IsSpace)))
		}
		if t.RStrip {
			stop = len(s) - len(strings.TrimLeftFunc(s[from:], unicode.IsSpace))
		}
		if done < start {
			gap(s[done:start])
		}
		token(int32(t.ID))
		done = stop
	}
	if done < len(s) {
		gap(s[done:])
	}
}

// replaceInvalid makes text valid UTF-8: each byte that starts no valid sequence is U+FFFD.
func replaceInvalid(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2*utf8.UTFMax)
	for _, r := range s { // range yields U+FFFD, one byte wide, for such bytes
		b.WriteRune(r)
	}
	return b.String()
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

// wordTables are the characters of words, \w: alphabetic ones, marks, decimal digits, connectors.
var wordTables = []*unicode.RangeTable{unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M,
	unicode.Nd, unicode.Pc, unicode.Join_Control}

// Characters of words of Unicode 15.1 and 16.0, which Go's tables (15.0) lack.
var laterWords = [][2]rune{
	{0x897, 0x897}, {0x1C89, 0x1C8A}, {0xA7CB, 0xA7CD}, {0xA7DA, 0xA7DC}, {0x105C0, 0x105F3},
	{0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4},
	{0x10EFC, 0x10EFC}, {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
	{0x11390, 0x113B5}, {0x113B7, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5},
	{0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2}, {0x116D0, 0x116E3},
	{0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A}, {0x13460, 0x143FA},
	{0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79}, {0x18CFF, 0x18CFF},
	{0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D},
}

func isWord(r rune) bool {
	return unicode.In(r, wordTables...) || slices.ContainsFunc(laterWords, func(w [2]rune) bool {
		return w[0] <= r && r <= w[1]
	})
}
