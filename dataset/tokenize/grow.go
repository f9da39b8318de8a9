package tokenize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/dataset/tokenize/sentencepiece"
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

// Extend is the tokenizer.model at baseURI (or in that folder) with the pieces of what is at
// addURI: a tokenizer.model, a folder that has one, or a text with one piece a line. It returns the
// new file, the number of its pieces and how many are new.
func Extend(ctx context.Context, op store.Opener, baseURI, addURI string,
) (merged []byte, total, fresh int, err error) {
	main, l, base, err := find(ctx, op, baseURI)
	if err != nil {
		return nil, 0, 0, err
	}
	if l.main != modelFile {
		return nil, 0, 0, fmt.Errorf("extend %s: %w", main,
			unsupported("to extend a %s (a %s can be extended)", l.main, modelFile))
	}
	added, err := readAdded(ctx, op, addURI)
	if err != nil {
		return nil, 0, 0, err
	}
	if merged, fresh, err = sentencepiece.Merge(base, added); err != nil {
		return nil, 0, 0, fmt.Errorf("extend %s by %s: %w", main, addURI, err)
	}
	t, err := parseModel(merged, nil)
	if err != nil {
		return nil, 0, 0, err
	}
	return merged, t.VocabSize(), fresh, nil
}

// GrownFiles is Files for a tokenizer that grew from another one; baseURI is empty for one that did
// not.
func GrownFiles(ctx context.Context, op store.Opener, baseURI, uri string,
) (map[string][]byte, error) {
	if baseURI == "" || layoutOf(baseURI).main != modelFile {
		return Files(ctx, op, uri)
	}
	files, err := Files(ctx, op, baseURI)
	if err != nil {
		return nil, err
	}
	files[modelFile], _, _, err = Extend(ctx, op, baseURI, uri)
	return files, err
}

// readAdded reads a file of pieces, or the tokenizer.model of a folder.
func readAdded(ctx context.Context, op store.Opener, uri string) ([]byte, error) {
	data, err := readAll(ctx, op, uri)
	if err == nil {
		return data, nil
	}
	inside, err2 := readAll(ctx, op, strings.TrimRight(uri, "/")+"/"+modelFile)
	if err2 != nil {
		return nil, fmt.Errorf("load pieces to add: %w", errors.Join(err, err2))
	}
	return inside, nil
}

// LoadGrown reads the tokenizer that base.extend_vocab names, and pins it with the one it grows
// from. To a tokenizer.model the pieces of what is at uri are added (Extend). Of any other kind the
// one at uri must itself have grown: it keeps every token of the base in its place.
func LoadGrown(ctx context.Context, op store.Opener, baseURI, uri string,
) (Tokenizer, *pb.TokenizerPin, error) {
	base, basePin, err := Load(ctx, op, baseURI)
	if err != nil {
		return nil, nil, err
	}
	pin := &pb.TokenizerPin{Uri: uri, Base: basePin}
	grown, sum, err := loadGrown(ctx, op, pin)
	if err != nil {
		return nil, nil, err
	}
	if _, err := NewTokens(base, grown); err != nil {
		return nil, nil, fmt.Errorf("load tokenizer %s, grown from %s: %w", uri, baseURI, err)
	}
	pin.Sha256, pin.VocabSize = sum, uint32(grown.VocabSize())
	pin.EosId, pin.BosId = idOrNone(grown.EOS()), idOrNone(grown.BOS())
	return grown, pin, nil
}

// loadGrown reads the tokenizer of a pin that has a base, and says what its digest is.
func loadGrown(ctx context.Context, op store.Opener, pin *pb.TokenizerPin,
) (Tokenizer, string, error) {
	if layoutOf(pin.GetBase().GetUri()).main != modelFile {
		t, p, err := Load(ctx, op, pin.GetUri())
		return t, p.GetSha256(), err
	}
	merged, _, _, err := Extend(ctx, op, pin.GetBase().GetUri(), pin.GetUri())
	if err != nil {
		return nil, "", err
	}
	t, err := parseModel(merged, nil)
	return t, digest(merged), err
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
