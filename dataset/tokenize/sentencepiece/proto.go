package sentencepiece

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrUnsupported marks a file that asks for something this package does not do exactly. The error
// text names the construct.
var ErrUnsupported = errors.New("not supported")

// ErrInvalid marks a file that is broken. The error text names the place.
var ErrInvalid = errors.New("invalid tokenizer file")

// Type is the type of a piece.
type Type int32

// The types of pieces, as the format numbers them.
const (
	Normal Type = iota + 1
	Unknown
	Control
	UserDefined
	Unused
	Byte
)

// Piece is an entry of the vocabulary; its id is its place.
type Piece struct {
	Text  string // with U+2581 for a space
	Score float32
	Type  Type
}

// Model is the content of a tokenizer.model.
type Model struct {
	Pieces []Piece

	trainer    trainerSpec
	normalizer normalizerSpec
	denormal   normalizerSpec

	data      []byte
	piecesEnd int // where the last piece ends in data
}

// trainerSpec is what matters of it after training.
type trainerSpec struct {
	kind         uint64
	suffix       bool // treat_whitespace_as_suffix
	byteFallback bool
	unkSurface   string
	unk, bos     string
	eos          string
}

type normalizerSpec struct {
	charsmap    []byte
	dummyPrefix bool
	removeExtra bool
	escape      bool
}

const (
	kindUnigram = 1
	kindBPE     = 2

	maxPieces = 1 << 22 // the largest public vocabulary has 262,144
)

// Read reads the protocol buffer. It checks its form, not yet whether it makes a tokenizer.
func Read(data []byte) (*Model, error) {
	spec := normalizerSpec{dummyPrefix: true, removeExtra: true, escape: true}
	m := &Model{
		trainer: trainerSpec{kind: kindUnigram, unkSurface: " \u2047 ", unk: "<unk>", bos: "<s>",
			eos: "</s>"},
		normalizer: spec,
		denormal:   spec,
		data:       data,
	}
	err := fields("model", data, func(f *field) error {
		switch f.number {
		case 1:
			if len(m.Pieces) == maxPieces {
				return fmt.Errorf("more than %d pieces: %w", maxPieces, ErrInvalid)
			}
			p, err := readPiece(fmt.Sprintf("pieces[%d]", len(m.Pieces)), f)
			m.Pieces = append(m.Pieces, p)
			m.piecesEnd = f.end
			return err
		case 2:
			return m.trainer.read("trainer_spec", f)
		case 3:
			return m.normalizer.read("normalizer_spec", f)
		case 5:
			return m.denormal.read("denormalizer_spec", f)
		}
		return nil
	})
	return m, err
}

func readPiece(place string, f *field) (Piece, error) {
	p := Piece{Type: Normal}
	data, err := f.message(place)
	if err != nil {
		return p, err
	}
	return p, fields(place, data, func(f *field) (err error) {
		switch f.number {
		case 1:
			p.Text, err = f.text(place + ".piece")
		case 2:
			var bits uint64
			bits, err = f.scalar(place+".score", protowire.Fixed32Type)
			p.Score = math.Float32frombits(uint32(bits))
		case 3:
			var kind uint64
			kind, err = f.scalar(place+".type", protowire.VarintType)
			if p.Type = Type(kind); err == nil && (kind < 1 || kind > uint64(Byte)) {
				err = unsupported("%s.type %d", place, kind)
			}
		}
		return err
	})
}

func (t *trainerSpec) read(place string, f *field) error {
	data, err := f.message(place)
	if err != nil {
		return err
	}
	return fields(place, data, func(f *field) (err error) {
		switch f.number {
		case 3:
			t.kind, err = f.scalar(place+".model_type", protowire.VarintType)
		case 24:
			t.suffix, err = f.flag(place + ".treat_whitespace_as_suffix")
		case 35:
			t.byteFallback, err = f.flag(place + ".byte_fallback")
		case 44:
			t.unkSurface, err = f.text(place + ".unk_surface")
		case 45:
			t.unk, err = f.text(place + ".unk_piece")
		case 46:
			t.bos, err = f.text(place + ".bos_piece")
		case 47:
			t.eos, err = f.text(place + ".eos_piece")
		}
		return err
	})
}

func (n *normalizerSpec) read(place string, f *field) error {
	data, err := f.message(place)
	if err != nil {
		return err
	}
	return fields(place, data, func(f *field) (err error) {
		switch f.number {
		case 2:
			n.charsmap, err = f.message(place + ".precompiled_charsmap")
		case 3:
			n.dummyPrefix, err = f.flag(place + ".add_dummy_prefix")
		case 4:
			n.removeExtra, err = f.flag(place + ".remove_extra_whitespaces")
		case 5:
			n.escape, err = f.flag(place + ".escape_whitespaces")
		}
		return err
	})
}
