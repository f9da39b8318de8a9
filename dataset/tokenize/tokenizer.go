package tokenize

import (
	"fmt"

	"github.com/banyan-train/banyan/dataset/tokenize/sentencepiece"
)

// Tokenizer maps text to token ids and back. Implementations are safe for concurrent use.
type Tokenizer interface {
	// Encode appends the ids of text to dst and returns it. It adds neither BOS nor EOS, and
	// reads added tokens that stand in the text as such. It keeps no reference to dst or text.
	Encode(dst []int32, text string) []int32
	// Decode returns the bytes the ids stand for, added tokens by their content. Ids outside the
	// vocabulary are left out. A cut sequence of ids may end inside a UTF-8 character.
	Decode(ids []int32) []byte
	// TokenBytes is the number of UTF-8 bytes that id stands for; 0 for a special token and for
	// an id outside the vocabulary.
	TokenBytes(id int32) int
	// StartBytes is the number of bytes that Encode puts in front of a text: 1 where it adds a
	// space. The first token stands for them too.
	StartBytes() int
	// VocabSize is the largest id plus one, added tokens included.
	VocabSize() int
	// BOS is the id of the beginning-of-text token, if the tokenizer names one.
	BOS() (int32, bool)
	// EOS is the id of the end-of-text token, if the tokenizer names one.
	EOS() (int32, bool)
}

// ErrUnsupported marks a tokenizer file that asks for something this package does not do
// exactly. The error text names the construct.
var ErrUnsupported = sentencepiece.ErrUnsupported

// ErrInvalid marks a tokenizer file that is broken. The error text names the place.
var ErrInvalid = sentencepiece.ErrInvalid

// Parse reads the contents of a tokenizer.json and of the tokenizer_config.json beside it (nil:
// there is none, so no BOS and EOS). It fails with ErrUnsupported or ErrInvalid.
func Parse(tokenizerJSON, tokenizerConfigJSON []byte) (Tokenizer, error) {
	b, err := parse(tokenizerJSON, tokenizerConfigJSON)
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	return b, nil
}
