package sentencepiece

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	space       = "\u2581" // what models write for a space
	replacement = "\uFFFD"
)

// normalizer makes of a text what pieces are looked for in. Its output is valid UTF-8.
type normalizer struct {
	normalizerSpec
	suffix bool
	rules  *charsmap
	user   [256][]string // user-defined pieces by first byte, longest first: never changed
	simple bool          // no rules, no user-defined pieces, no spaces removed

	// plainASCII: a byte that stays as it is where ASCII or nothing follows; plainSpace: so does a
	// space, unless it is removed. plain: characters of the first plane that stay as they are, one
	// bit each.
	plainASCII [utf8.RuneSelf]bool
	plainSpace bool
	plain      [1 << 16 / 64]uint64
}

func newNormalizer(m *Model) (*normalizer, error) {
	n := &normalizer{normalizerSpec: m.normalizer, suffix: m.trainer.suffix}
	var err error
	if n.rules, err = readCharsmap("normalizer_spec.precompiled_charsmap", n.charsmap); err != nil {
		return nil, err
	}
	n.simple = n.rules == nil && !n.removeExtra
	var starts [256]bool // first bytes of user-defined pieces
	for _, p := range m.Pieces {
		if p.Type == UserDefined {
			n.simple = false
			starts[p.Text[0]] = true
			n.user[p.Text[0]] = append(n.user[p.Text[0]], p.Text)
		}
	}
	if err := checkNesting(m); err != nil {
		return nil, err
	}
	for _, list := range n.user {
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	for c := range n.plainASCII {
		n.plainASCII[c] = c != ' ' && !starts[c] && n.stays(string(rune(c)))
	}
	n.plainSpace = !starts[' '] && n.stays(" ")
	for r := rune(utf8.RuneSelf); r < 1<<16; r++ {
		s := string(r) // of a surrogate it is U+FFFD; no text has any
		if s != space && !starts[s[0]] && (n.rules == nil || n.rules.plain(s)) {
			n.plain[r/64] |= 1 << (r % 64)
		}
	}
	return n, nil
}

// maxNested is how many user-defined pieces that begin with one another the peer tells apart.
const maxNested = 64

// checkNesting refuses more of them: the peer would no longer find the longest.
func checkNesting(m *Model) error {
	var user []string
	for _, p := range m.Pieces {
		if p.Type == UserDefined {
			user = append(user, p.Text)
		}
	}
	slices.Sort(user)
	var open []string // each begins with the one before
	for _, s := range user {
		for len(open) > 0 && !strings.HasPrefix(s, open[len(open)-1]) {
			open = open[:len(open)-1]
		}
		if open = append(open, s); len(open) > maxNested {
			return unsupported("%q: more than %d user-defined pieces that begin with one another",
				clip(s), maxNested)
		}
	}
	return nil
}

// stays answers whether no rule begins with an ASCII character, unless others than ASCII follow.
func (n *normalizer) stays(c string) bool {
	if n.rules == nil || n.rules.plain(c) {
		return true
	}
	if size, _, _ := n.rules.longest(c); size > 0 {
		return false
	}
	for next := range rune(utf8.RuneSelf) {
		if !n.rules.plain(c + string(next)) {
			return false
		}
	}
	return true
}

// append appends the normalized text to dst, which is empty.
func (n *normalizer) append(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	if n.simple && utf8.ValidString(text) && !(n.escape && strings.Contains(text, space)) {
		if n.dummyPrefix && !n.suffix {
			dst = append(dst, ' ')
		}
		dst = append(dst, text...)
	} else if n.removeExtra {
		for text != "" {
			s, size := n.prefix(text)
			if s != " " {
				break
			}
			text = text[size:]
		}
		if text == "" {
			return dst
		}
		dst = n.appendAll(dst, text)
		for len(dst) > 0 && dst[len(dst)-1] == ' ' {
			dst = dst[:len(dst)-1]
		}
	} else {
		dst = n.appendAll(dst, text)
	}
	if n.dummyPrefix && n.suffix {
		dst = append(dst, ' ')
	}
	return dst
}

// appendAll normalizes step by step, with the dummy prefix.
func (n *normalizer) appendAll(dst []byte, text string) []byte {
	if n.dummyPrefix && !n.suffix {
		dst = append(dst, ' ')
	}
	afterSpace := n.removeExtra
	for i := 0; i < len(text); {
		if run := n.plainRun(text, i); run > i {
			dst = append(dst, text[i:run]...)
			i, afterSpace = run, false
			continue
		}
		if text[i] == ' ' && n.plainSpace && (i+1 == len(text) || text[i+1] < utf8.RuneSelf) {
			if !afterSpace {
				dst = append(dst, ' ')
			}
			i, afterSpace = i+1, n.removeExtra
			continue
		}
		s, size := n.prefix(text[i:])
		i += size
		if afterSpace {
			s = strings.TrimLeft(s, " ")
		}
		if s != "" {
			if n.escape {
				dst = append(dst, strings.ReplaceAll(s, space, " ")...)
			} else {
				dst = append(dst, s...)
			}
			afterSpace = n.removeExtra && s[len(s)-1] == ' '
		}
	}
	return dst
}

// plainRun returns the end of the characters from text[i] on that stay as they are.
func (n *normalizer) plainRun(text string, i int) int {
	for i < len(text) {
		c := text[i]
		if c < utf8.RuneSelf {
			if !n.plainASCII[c] || i+1 < len(text) && text[i+1] >= utf8.RuneSelf {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if size == 1 || r >= 1<<16 || n.plain[r/64]>>(r%64)&1 == 0 {
			return i
		}
		i += size
	}
	return i
}

// prefix normalizes the first piece, rule or character of text and returns how much that was.
func (n *normalizer) prefix(text string) (string, int) {
	for _, p := range n.user[text[0]] {
		if strings.HasPrefix(text, p) {
			return p, len(p)
		}
	}
	if n.rules != nil {
		if size, s, _ := n.rules.longest(text); size > 0 {
			return s, size
		}
	}
	r, size := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && size == 1 {
		return replacement, 1
	}
	return text[:size], size
}
