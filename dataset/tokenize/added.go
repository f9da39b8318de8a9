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
// order. A token with lstrip or rstrip swallows the white space on that side.
func (m *matcher) split(s string, gap func(string), token func(int32)) {
	done, from := 0, 0
	for {
		t, at := m.next(s, from)
		if t == nil {
			break
		}
		from = at + len(t.Content)
		start, stop := at, from
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
