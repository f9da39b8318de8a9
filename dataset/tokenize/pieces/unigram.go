package pieces

import (
	"math"
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// Piece is a piece of a Unigram and its score.
type Piece struct {
	Text  string // valid UTF-8, not empty, and no other piece's
	ID    int32
	Score float32
}

// single is a character by itself: its piece, or a negative id, and the score.
type single struct {
	id    int32
	score float32
}

// Unigram finds the path of pieces with the best sum of scores.
type Unigram struct {
	cutter
	singles  []single    // by symbol
	roots    []int32     // by symbol: the trie's node of that character
	edges    merge.Table // node, symbol: the next node
	ids      []int32     // by node; negative: no piece ends here
	scores   []float32   // by node
	byID     []float32   // scores by id; that of Unknown is unknown
	sizes    []int32     // bytes by id
	unknown  float32     // score of a character that is no piece
	largest  float64     // of all scores, without sign
	fallback Fallback
}

// NewUnigram makes the tables. The pieces have fewer characters, in all, than merge.Limit. unknown
// is the score of a character that no piece covers by itself; fallback.Unknown must be an id.
func NewUnigram(pieces []Piece, unknown float32, fallback Fallback) *Unigram {
	u := &Unigram{
		unknown:  unknown,
		largest:  math.Abs(float64(unknown)),
		fallback: fallback,
	}
	chars, most := 0, fallback.Unknown
	for _, p := range pieces {
		chars += utf8.RuneCountInString(p.Text)
		most = max(most, p.ID)
	}
	u.byID, u.sizes = make([]float32, most+1), make([]int32, most+1)
	u.byID[fallback.Unknown] = unknown
	u.edges = merge.NewTable(chars)
	table, joins := newCharTable(), map[join]bool{}
	for _, p := range pieces {
		u.add(p, table, joins)
	}
	u.cutter = newCutter(table, joins)
	u.singles = make([]single, len(u.roots))
	for symbol, at := range u.roots {
		u.singles[symbol] = single{u.ids[at], u.scores[at]}
	}
	return u
}

// add puts a piece into the trie.
func (u *Unigram) add(p Piece, chars *charTable, joins map[join]bool) {
	at, before := int32(-1), rune(-1)
	for _, r := range p.Text {
		symbol := chars.get(r)
		if symbol < 0 {
			symbol = int32(len(u.roots))
			chars.set(r, symbol)
			u.roots = append(u.roots, u.node())
		}
		next := u.roots[symbol]
		if at >= 0 {
			v := u.edges.Get(at, symbol)
			if v == merge.None {
				v = uint64(u.node())
				u.edges.Put(at, symbol, 0, int32(v))
			}
			next = int32(v)
		}
		if before >= 0 {
			joins[join{before, r}] = true
		}
		at, before = next, r
	}
	u.ids[at], u.scores[at] = p.ID, p.Score
	u.byID[p.ID], u.sizes[p.ID] = p.Score, int32(len(p.Text))
	u.largest = max(u.largest, math.Abs(float64(p.Score)))
}

// node makes a node of the trie at which no piece ends yet.
func (u *Unigram) node() int32 {
	u.ids, u.scores = append(u.ids, -1), append(u.scores, 0)
	return int32(len(u.ids) - 1)
}

// Append appends the ids of text, which is valid UTF-8, to dst.
func (u *Unigram) Append(dst []int32, text []byte, sc *Scratch) []int32 {
	defer sc.trim()
	base := len(dst)
	sum := float32(0) // of the best path to here, as the peer adds it up
	padded := pad(text)
	for i, end := 0, 0; i < len(text); i = end {
		var chars int
		var symbol int32
		end, chars, symbol = u.segment(text, i)
		word := text[i:end]
		if chars == 1 {
			if sum < -resetScore || sum > resetScore {
				sum = 0
			}
			if symbol >= 0 && u.singles[symbol].id >= 0 {
				dst = append(dst, u.singles[symbol].id)
				sum += u.singles[symbol].score
			} else {
				dst = u.fallback.append(dst, base, word)
				sum += u.unknown
			}
			continue
		}
		if len(word) <= cacheText {
			k := keyOf(padded, i, len(word))
			e, hit := sc.cache.slot(&k, len(word))
			if !hit {
				sc.syms = u.symbols(sc.syms[:0], word)
				margin := u.relative(sc.syms, sc)
				e.set(&k, len(word), chars, sc.path, margin)
				hit = len(sc.path) <= cacheIDs
			}
			if hit && u.safe(e, sum) {
				dst, sum = u.appendPath(dst, base, word, e.ids[:e.count], sum)
				continue
			}
		}
		sc.syms = u.symbols(sc.syms[:0], word)
		sum = u.search(sc.syms, sum, sc)
		dst, _ = u.appendPath(dst, base, word, sc.path, sum)
	}
	return dst
}

// appendPath appends a path's ids and adds its scores to sum, in the order of the search. Unknown
// stands for one character there.
func (u *Unigram) appendPath(dst []int32, base int, word []byte, path []int32, sum float32,
) ([]int32, float32) {
	for _, id := range path {
		sum += u.byID[id]
	}
	if u.fallback.Bytes == nil {
		for _, id := range path {
			if id != u.fallback.Unknown || !u.fallback.follows(dst, base) {
				dst = append(dst, id)
			}
		}
		return dst, sum
	}
	return u.appendBytes(dst, word, path), sum
}
