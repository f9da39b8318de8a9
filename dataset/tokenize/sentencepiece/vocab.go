package sentencepiece

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/pieces"
)

const (
	maxPieceBytes = 8000    // as in the peer
	maxTextBytes  = 8 << 20 // far below merge.Limit, which symbols and the trie's nodes must be
	// maxSplitBytes bounds the work of finding the merges: the sum of the squares of the pieces'
	// sizes. The largest public vocabulary has a hundredth of it.
	maxSplitBytes = 1 << 32
	// unknownPenalty is what an unknown character costs below the worst piece.
	unknownPenalty = 10
)

// vocabulary is the pieces by what they are for.
type vocabulary struct {
	model    *Model
	spell    *strings.Replacer // how a piece is written in normalized text; nil: as it is
	ids      map[string]int32
	unk      int32 // -1: none
	bytes    [256]int32
	hasBytes bool
}

// newVocabulary checks the pieces as the peer does.
func newVocabulary(m *Model) (*vocabulary, error) {
	v := &vocabulary{model: m, ids: make(map[string]int32, len(m.Pieces)), unk: -1}
	if m.normalizer.escape {
		v.spell = strings.NewReplacer(space, " ")
	}
	for i := range v.bytes {
		v.bytes[i] = -1
	}
	total, squares := 0, 0
	for i, p := range m.Pieces {
		if err := v.add(int32(i), p); err != nil {
			return nil, fmt.Errorf("pieces[%d] %q: %w", i, clip(p.Text), err)
		}
		total += len(p.Text)
		squares += len(p.Text) * len(p.Text)
		if total > maxTextBytes || squares > maxSplitBytes && m.trainer.kind == kindBPE {
			return nil, fmt.Errorf("pieces[%d] %q: so many long pieces are no vocabulary: %w", i,
				clip(p.Text), ErrInvalid)
		}
	}
	if v.unk < 0 && !m.trainer.byteFallback {
		return nil, fmt.Errorf("no piece is of type UNKNOWN: %w", ErrInvalid)
	}
	if m.trainer.byteFallback {
		if i := slices.Index(v.bytes[:], -1); i >= 0 {
			return nil, fmt.Errorf("byte_fallback is set, but there is no piece <0x%02X>: %w", i,
				ErrInvalid)
		}
	}
	return v, nil
}

func (v *vocabulary) add(id int32, p Piece) error {
	invalid := func(what string) error { return fmt.Errorf("%s: %w", what, ErrInvalid) }
	switch {
	case p.Text == "":
		return invalid("it is empty")
	case len(p.Text) >= maxPieceBytes:
		return invalid("it is too long")
	case !utf8.ValidString(p.Text):
		return unsupported("a piece that is not UTF-8")
	case p.Text == "\x00" && p.Type == Unused:
		return nil
	case strings.Contains(p.Text, "\x00"):
		return invalid("it holds a zero byte")
	case math.IsNaN(float64(p.Score)) || math.IsInf(float64(p.Score), 0):
		return invalid("its score is not finite")
	case p.Type == UserDefined && v.spell != nil && strings.Contains(p.Text, " "):
		return unsupported("a user-defined piece with a plain space")
	}
	if _, twice := v.ids[p.Text]; twice {
		return invalid("it is there twice")
	}
	v.ids[p.Text] = id
	switch p.Type {
	case Unknown:
		if v.unk >= 0 {
			return invalid("it is the second of type UNKNOWN")
		}
		v.unk = id
	case Byte:
		b, ok := byteOf(p.Text)
		if !ok || !v.model.trainer.byteFallback {
			return invalid("a byte is written <0x00> to <0xFF>, and needs byte_fallback")
		}
		v.bytes[b], v.hasBytes = id, true
	}
	return nil
}

// clip keeps error messages short.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// byteOf reads <0x0A>.
func byteOf(text string) (byte, bool) {
	var b byte
	if len(text) != 6 {
		return 0, false
	}
	if _, err := fmt.Sscanf(text, "<0x%02X>", &b); err != nil {
		return 0, false
	}
	return b, fmt.Sprintf("<0x%02X>", b) == text
}

// spelled is a piece as it stands in normalized text; false: it cannot stand there.
func (v *vocabulary) spelled(text string) (string, bool) {
	if v.spell == nil {
		return text, true
	}
	return v.spell.Replace(text), !strings.Contains(text, " ")
}

func (v *vocabulary) fallback() pieces.Fallback {
	f := pieces.Fallback{Unknown: v.unk, Fuse: true}
	if v.hasBytes {
		f.Bytes = &v.bytes
	}
	return f
}

// unigram is the search of a UNIGRAM model. A user-defined piece gains with its length, as in the
// peer.
func (v *vocabulary) unigram() (*pieces.Unigram, error) {
	if v.unk < 0 {
		return nil, unsupported("a UNIGRAM model without a piece of type UNKNOWN")
	}
	least := float32(math.MaxFloat32)
	var list []pieces.Piece
	for i, p := range v.model.Pieces {
		if p.Type == Normal {
			least = min(least, p.Score)
		}
		text, possible := v.spelled(p.Text)
		if !possible || p.Type != Normal && p.Type != UserDefined {
			continue
		}
		score := p.Score
		if p.Type == UserDefined {
			score = float32(0.1 * float64(len(p.Text)-1))
		}
		list = append(list, pieces.Piece{Text: text, ID: int32(i), Score: score})
	}
	return pieces.NewUnigram(list, least-unknownPenalty, v.fallback()), nil
}

// merger is the merges of a BPE model: two neighbours merge whenever they make a piece, the piece
// of the best score first.
func (v *vocabulary) merger() *pieces.Merger {
	b := &mergeBuilder{index: map[string]int32{}, c: pieces.MergerConfig{Fallback: v.fallback()}}
	var scores []float32
	for i, p := range v.model.Pieces {
		text, possible := v.spelled(p.Text)
		if !possible || p.Text == "\x00" {
			continue
		}
		switch p.Type {
		case UserDefined:
			b.c.Frozen = append(b.c.Frozen, pieces.Symbol{Text: text, ID: int32(i)})
		case Normal, Unused:
			b.symbol(text, int32(i), p.Type == Unused)
			scores = append(scores, p.Score)
		}
	}
	slices.SortFunc(scores, betterScore)
	scores = slices.CompactFunc(scores, func(x, y float32) bool { return betterScore(x, y) == 0 })
	for _, p := range v.model.Pieces {
		if text, possible := v.spelled(p.Text); possible && (p.Type == Normal || p.Type == Unused) {
			rank, _ := slices.BinarySearchFunc(scores, p.Score, betterScore)
			b.rules(text, uint32(rank))
		}
	}
	return pieces.NewMerger(&b.c)
}

// betterScore puts the best score first. The peer compares bits, so that 0 is better than -0.
func betterScore(x, y float32) int {
	if x == y {
		return cmp.Compare(int32(math.Float32bits(y)), int32(math.Float32bits(x)))
	}
	return cmp.Compare(y, x)
}

type mergeBuilder struct {
	c     pieces.MergerConfig
	index map[string]int32 // of Symbols, by text
}

// symbol adds a piece, and its characters as symbols of their own that are no pieces yet.
func (b *mergeBuilder) symbol(text string, id int32, unused bool) {
	if i, known := b.index[text]; known { // as a character of an earlier piece
		b.c.Symbols[i].ID, b.c.Symbols[i].Undo = id, unused
	} else {
		b.index[text] = int32(len(b.c.Symbols))
		b.c.Symbols = append(b.c.Symbols, pieces.Symbol{Text: text, ID: id, Undo: unused})
	}
	for _, r := range text {
		if char := string(r); char != text {
			if _, known := b.index[char]; !known {
				b.index[char] = int32(len(b.c.Symbols))
				b.c.Symbols = append(b.c.Symbols, pieces.Symbol{Text: char, ID: -1})
			}
		}
	}
}

// rules adds every pair of symbols that makes a piece.
func (b *mergeBuilder) rules(text string, rank uint32) {
	whole := b.index[text]
	for at := range text {
		if at == 0 {
			continue
		}
		left, ok := b.index[text[:at]]
		right, ok2 := b.index[text[at:]]
		if ok && ok2 {
			b.c.Rules = append(b.c.Rules,
				pieces.Rule{Left: left, Right: right, Whole: whole, Rank: rank})
		}
	}
}
