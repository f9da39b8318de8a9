package sentencepiece

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/pieces"
)

// Tokenizer encodes and decodes. It is safe for concurrent use: the tables never change after
// Parse, and each call borrows a scratch from a free list.
type Tokenizer struct {
	model    *Model
	vocab    *vocabulary
	norm     *normalizer
	find     finder
	sizes    []int32 // TokenBytes by id
	byteOf   []uint8 // by id, of byte pieces
	bos, eos int32   // -1: none

	mu   sync.Mutex
	free []*scratch // guarded by mu
}

// finder is a pieces.Merger or a pieces.Unigram.
type finder interface {
	Append(dst []int32, text []byte, sc *pieces.Scratch) []int32
}

type scratch struct {
	pieces *pieces.Scratch
	text   []byte
}

// keepText is the largest buffer of normalized text that outlives the text that needed it.
const keepText = 1 << 18

// Parse reads a tokenizer.model. It fails with ErrUnsupported or ErrInvalid.
func Parse(data []byte) (*Tokenizer, error) {
	m, err := Read(data)
	if err != nil {
		return nil, err
	}
	return New(m)
}

// New makes a tokenizer of a model.
func New(m *Model) (*Tokenizer, error) {
	if len(m.Pieces) == 0 {
		return nil, unsupported("a file without pieces")
	}
	if len(m.denormal.charsmap) > 0 {
		return nil, unsupported("denormalizer_spec")
	}
	t := &Tokenizer{model: m}
	var err error
	if t.vocab, err = newVocabulary(m); err != nil {
		return nil, err
	}
	if t.norm, err = newNormalizer(m); err != nil {
		return nil, err
	}
	switch m.trainer.kind {
	case kindBPE:
		t.find = t.vocab.merger()
	case kindUnigram:
		if t.find, err = t.vocab.unigram(); err != nil {
			return nil, err
		}
	default:
		return nil, unsupported("trainer_spec.model_type %d (WORD and CHAR are 3 and 4)",
			m.trainer.kind)
	}
	t.measure()
	t.bos, t.eos = t.control(m.trainer.bos), t.control(m.trainer.eos)
	return t, nil
}

// measure fills the tables of what each piece stands for.
func (t *Tokenizer) measure() {
	t.sizes = make([]int32, len(t.model.Pieces))
	t.byteOf = make([]uint8, len(t.model.Pieces))
	for id, p := range t.model.Pieces {
		switch p.Type {
		case Control, Unknown:
		case Byte:
			t.sizes[id] = 1
			t.byteOf[id], _ = byteOf(p.Text) // newVocabulary has read them all
		default:
			t.sizes[id] = int32(len(p.Text) - strings.Count(p.Text, space)*(len(space)-1))
		}
	}
}

// control is the id of a control piece, -1 if there is none of that name.
func (t *Tokenizer) control(name string) int32 {
	if id, ok := t.vocab.ids[name]; ok && t.model.Pieces[id].Type == Control {
		return id
	}
	return -1
}

func (t *Tokenizer) take() *scratch {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		sc := t.free[n-1]
		t.free = t.free[:n-1]
		return sc
	}
	return &scratch{pieces: pieces.NewScratch()}
}

func (t *Tokenizer) give(sc *scratch) {
	if cap(sc.text) > keepText {
		sc.text = nil
	}
	t.mu.Lock()
	t.free = append(t.free, sc)
	t.mu.Unlock()
}

// Encode appends the ids of text to dst, without BOS and EOS. Control pieces that stand in the text
// are text.
func (t *Tokenizer) Encode(dst []int32, text string) []int32 {
	sc := t.take()
	defer t.give(sc)
	sc.text = t.norm.append(sc.text[:0], text)
	return t.find.Append(dst, sc.text, sc.pieces)
}

// EncodePiece appends the ids of a piece's own text, with nothing before it and nothing normalized.
func (t *Tokenizer) EncodePiece(dst []int32, piece string) []int32 {
	text, possible := t.vocab.spelled(piece)
	if !possible || !utf8.ValidString(text) || text == "" {
		return dst
	}
	sc := t.take()
	defer t.give(sc)
	return t.find.Append(dst, []byte(text), sc.pieces)
}

// Piece is a piece as the file writes it, "" for an id outside the vocabulary.
func (t *Tokenizer) Piece(id int32) string {
	if !t.known(id) {
		return ""
	}
	return t.model.Pieces[id].Text
}

func (t *Tokenizer) known(id int32) bool { return id >= 0 && int(id) < len(t.model.Pieces) }

// Decode returns the text of ids as the peer does; ids outside the vocabulary are left out.
func (t *Tokenizer) Decode(ids []int32) []byte {
	d := decoder{strip: t.norm.dummyPrefix || t.norm.removeExtra, atStart: true}
	for _, id := range ids {
		if !t.known(id) {
			continue
		}
		p := &t.model.Pieces[id]
		if p.Type == Byte {
			d.bytes = append(d.bytes, t.byteOf[id])
			continue
		}
		d.flush()
		if d.stripped || len(d.out) > 0 {
			d.atStart = false
		}
		d.stripped = false
		switch p.Type {
		case Control:
		case Unknown:
			d.out = append(d.out, t.model.trainer.unkSurface...)
		default:
			d.piece(p.Text, t.norm.removeExtra)
		}
	}
	d.flush()
	return d.out
}

// decoder is the state of one Decode.
type decoder struct {
	out      []byte
	bytes    []byte // byte pieces in a row
	strip    bool   // the space of the dummy prefix is left out
	atStart  bool   // that space may still come
	stripped bool   // by the piece before
}

func (d *decoder) piece(text string, removeExtra bool) {
	if d.strip && d.atStart {
		rest, cut := strings.CutPrefix(text, space)
		text = rest
		d.stripped = cut && !removeExtra // else all spaces at the start are left out
	}
	d.out = append(d.out, strings.ReplaceAll(text, space, " ")...)
}

// flush decodes a row of byte pieces; each that starts no character is U+FFFD.
func (d *decoder) flush() {
	for len(d.bytes) > 0 {
		r, size := utf8.DecodeRune(d.bytes)
		d.out = utf8.AppendRune(d.out, r)
		d.bytes = d.bytes[size:]
	}
}

// TokenBytes is the number of bytes of normalized text that id stands for (see the package).
func (t *Tokenizer) TokenBytes(id int32) int {
	if !t.known(id) {
		return 0
	}
	return int(t.sizes[id])
}

// StartBytes is 1 if a text gets a dummy prefix, else 0.
func (t *Tokenizer) StartBytes() int {
	if t.norm.dummyPrefix {
		return 1
	}
	return 0
}

// VocabSize is the number of pieces.
func (t *Tokenizer) VocabSize() int { return len(t.model.Pieces) }

// BOS is the id of the piece that trainer_spec.bos_piece names, if it is a control piece.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS is the id of the piece that trainer_spec.eos_piece names, if it is a control piece.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }
