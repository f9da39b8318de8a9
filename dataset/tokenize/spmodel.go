package tokenize

import (
	"fmt"

	"github.com/banyan-train/banyan/dataset/tokenize/sentencepiece"
)

var (
	_ Tokenizer = (*sentencepiece.Tokenizer)(nil)
	_ pieces    = (*sentencepiece.Tokenizer)(nil)
)

// parseModel reads a tokenizer from the contents of tokenizer.model and of the added_tokens.json
// beside it, which may be empty and may name nothing that is no piece.
func parseModel(model, added []byte) (Tokenizer, error) {
	t, err := sentencepiece.Parse(model)
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	if len(added) == 0 {
		return t, nil
	}
	var ids map[string]int32
	if err := decodeFile(addedFile, added, &ids); err != nil {
		return nil, err
	}
	for content, id := range ids {
		if t.Piece(id) != content {
			return nil, unsupported("%s: the token %q (%d), which is no piece of %s,", addedFile, content,
				id, modelFile)
		}
	}
	return t, nil
}
