package tokenize

import (
	"bytes"
	"context"
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// pieces is a tokenizer whose tokens are more than the text they decode to, as SentencePiece's are:
// the space before a word belongs to the piece.
type pieces interface {
	// Piece is the token as the file writes it; "" if there is none.
	Piece(id int32) string
	// EncodePiece appends the ids of a piece, without what is put before a text.
	EncodePiece(dst []int32, piece string) []int32
}

// LoadGrown reads a tokenizer that grew from the one at baseURI, keeping all its tokens in their
// places, and pins both. It fails with ErrInvalid if a token of the base has moved.
func LoadGrown(ctx context.Context, op store.Opener, baseURI, uri string,
) (Tokenizer, *pb.TokenizerPin, error) {
	base, basePin, err := Load(ctx, op, baseURI)
	if err != nil {
		return nil, nil, err
	}
	grown, pin, err := Load(ctx, op, uri)
	if err != nil {
		return nil, nil, err
	}
	if _, err := NewTokens(base, grown); err != nil {
		return nil, nil, fmt.Errorf("load tokenizer %s, grown from %s: %w", uri, baseURI, err)
	}
	pin.Base = basePin
	return grown, pin, nil
}

// NewTokens returns, for every token that grown has behind those of base, the ids that base makes
// of its text; none where the text is empty. It fails with ErrInvalid if the first tokens of grown
// are not those of base: a model's rows would change their meaning.
func NewTokens(base, grown Tokenizer) ([][]int32, error) {
	first := int32(base.VocabSize())
	if grown.VocabSize() < int(first) {
		return nil, fmt.Errorf("the grown tokenizer has %d tokens, the base %d: %w",
			grown.VocabSize(), first, ErrInvalid)
	}
	for id := range first {
		a, b := textOf(base, id), textOf(grown, id)
		if !bytes.Equal(a, b) {
			return nil, fmt.Errorf("token %d is %q in the base and %q in the grown tokenizer, which "+
				"must keep the base's tokens in their places: %w", id, a, b, ErrInvalid)
		}
	}
	out := make([][]int32, 0, grown.VocabSize()-int(first))
	for id := first; int(id) < grown.VocabSize(); id++ {
		text := string(textOf(grown, id))
		if p, ok := base.(pieces); ok {
			out = append(out, p.EncodePiece(nil, text))
			continue
		}
		out = append(out, base.Encode(nil, text))
	}
	return out, nil
}

func textOf(t Tokenizer, id int32) []byte {
	if p, ok := t.(pieces); ok {
		return []byte(p.Piece(id))
	}
	return t.Decode([]int32{id})
}
