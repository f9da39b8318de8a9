package pieces

import (
	"slices"
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// Symbol is a character or a piece.
type Symbol struct {
	Text string // valid UTF-8, not empty, and no other symbol's
	ID   int32  // negative: no piece; what of it remains is unknown text
	// Undo: this symbol stands only between merges. What of it remains at the end is taken apart into
	// the two it was last made of, or could have been made of, anywhere in the text.
	Undo bool
}

// Rule is a merge of two neighbours. The three are indexes of Symbols.
type Rule struct {
	Left, Right, Whole int32
	Rank               uint32 // the lowest merges first; of equals, the leftmost
}

// MergerConfig is the vocabulary of a Merger. There are fewer symbols, and ranks, than merge.Limit.
type MergerConfig struct {
	Symbols  []Symbol
	Rules    []Rule // a pair that stands twice takes its last
	Fallback Fallback
	CutAt    rune // a word begins before each of these characters, whatever the rules; 0: none
	// Frozen pieces are found in the text before anything merges, the longest first, from the left,
	// and merge with nothing.
	Frozen []Symbol
}

// Merger is byte-pair merging over characters.
type Merger struct {
	cutter
	pairs    merge.Table
	texts    []Symbol
	ids      []int32 // of texts
	fallback Fallback
	frozen   [256][]Symbol // by first byte, longest first
	freezes  bool
	undoes   bool
}

// NewMerger makes the tables.
func NewMerger(c *MergerConfig) *Merger {
	m := &Merger{
		pairs:    merge.NewTable(len(c.Rules)),
		texts:    c.Symbols,
		ids:      make([]int32, len(c.Symbols)),
		fallback: c.Fallback,
	}
	chars := newCharTable()
	for i, s := range c.Symbols {
		if r, size := utf8.DecodeRuneInString(s.Text); size == len(s.Text) {
			chars.set(r, int32(i))
		}
		m.ids[i] = s.ID
		m.undoes = m.undoes || s.Undo
	}
	for _, s := range c.Frozen {
		m.freezes = true
		m.frozen[s.Text[0]] = append(m.frozen[s.Text[0]], s)
	}
	for _, list := range m.frozen {
		slices.SortFunc(list, func(a, b Symbol) int { return len(b.Text) - len(a.Text) })
	}
	joins := map[join]bool{}
	for _, rule := range c.Rules {
		m.pairs.Put(rule.Left, rule.Right, rule.Rank, rule.Whole)
		last, _ := utf8.DecodeLastRuneInString(c.Symbols[rule.Left].Text)
		first, _ := utf8.DecodeRuneInString(c.Symbols[rule.Right].Text)
		if first != c.CutAt {
			joins[join{last, first}] = true
		}
	}
	m.cutter = newCutter(chars, joins)
	return m
}

// Append appends the ids of text, which is valid UTF-8, to dst.
func (m *Merger) Append(dst []int32, text []byte, sc *Scratch) []int32 {
	defer sc.trim()
	text = pad(text)[:len(text)] // so that parts of it need no room of their own
	base := len(dst)
	if m.undoes {
		return m.appendTracked(dst, text, sc)
	}
	if !m.freezes {
		return m.appendPlain(dst, base, text, sc)
	}
	done := 0
	for i := 0; i < len(text); {
		f, size := m.frozenAt(text, i)
		if f == nil {
			i += size
			continue
		}
		dst = m.appendPlain(dst, base, text[done:i], sc)
		dst = append(dst, f.ID)
		i += size
		done = i
	}
	return m.appendPlain(dst, base, text[done:], sc)
}

// frozenAt returns the longest frozen piece at text[i] and its size, or nil and the size of the
// character there.
func (m *Merger) frozenAt(text []byte, i int) (*Symbol, int) {
	list := m.frozen[text[i]]
	for k := range list {
		if n := len(list[k].Text); i+n <= len(text) && string(text[i:i+n]) == list[k].Text {
			return &list[k], n
		}
	}
	if text[i] < utf8.RuneSelf {
		return nil, 1
	}
	_, size := utf8.DecodeRune(text[i:])
	return nil, size
}

// appendPlain encodes text without frozen pieces.
func (m *Merger) appendPlain(dst []int32, base int, text []byte, sc *Scratch) []int32 {
	padded := pad(text)
	for i, end := 0, 0; i < len(text); i = end {
		var chars int
		var symbol int32
		end, chars, symbol = m.segment(text, i)
		if chars == 1 {
			if symbol >= 0 && m.ids[symbol] >= 0 {
				dst = append(dst, m.ids[symbol])
			} else {
				dst = m.fallback.append(dst, base, text[i:end])
			}
			continue
		}
		size := end - i
		if size > cacheText {
			sc.syms = m.symbols(sc.syms[:0], text[i:end])
			dst = m.merge(dst, base, sc.syms, sc)
			continue
		}
		k := keyOf(padded, i, size)
		e, hit := sc.cache.slot(&k, size)
		if hit {
			dst = m.fallback.appendIDs(dst, base, e.ids[:e.count])
			continue
		}
		sc.syms = m.symbols(sc.syms[:0], text[i:end])
		was := len(dst)
		dst = m.merge(dst, was, sc.syms, sc)
		e.set(&k, size, chars, dst[was:], 0)
		dst = m.fallback.appendIDs(dst[:was], base, dst[was:]) // the ends of two may be one
	}
	return dst
}

// merge appends the ids of one segment, whose symbols are all known.
func (m *Merger) merge(dst []int32, base int, syms []int32, sc *Scratch) []int32 {
	if len(syms) > merge.Most {
		sc.list.Reset()
		for i, s := range syms {
			sc.list.Add(s, i)
		}
		m.pairs.Long(&sc.list, nil)
		for s := range sc.list.All() {
			dst = m.emit(dst, base, s)
		}
		return dst
	}
	n, _ := m.pairs.Short(syms, &sc.ranks)
	for _, s := range syms[:n] {
		dst = m.emit(dst, base, s)
	}
	return dst
}

// emit appends the id of a symbol, or of the unknown text it stands for.
func (m *Merger) emit(dst []int32, base int, symbol int32) []int32 {
	if id := m.ids[symbol]; id >= 0 {
		return append(dst, id)
	}
	return m.fallback.append(dst, base, []byte(m.texts[symbol].Text))
}
