package sentencepiece

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Merge appends to a model the pieces of another one that it lacks: normal and user-defined ones,
// in their order, as normal pieces of score 0, which is what the recipe of Chinese-LLaMA does.
// added is a tokenizer.model, or text with one piece a line. Everything else of the base stays as
// it is, byte for byte. n is the number of new pieces.
func Merge(base, added []byte) (merged []byte, n int, err error) {
	m, err := Read(base)
	if err != nil {
		return nil, 0, fmt.Errorf("base: %w", err)
	}
	texts, err := piecesOf(added)
	if err != nil {
		return nil, 0, err
	}
	seen := make(map[string]bool, len(m.Pieces)+len(texts))
	for _, p := range m.Pieces {
		seen[p.Text] = true
	}
	var fresh []byte
	for _, text := range texts {
		if seen[text] {
			continue
		}
		seen[text] = true
		n++
		var piece []byte
		piece = protowire.AppendTag(piece, 1, protowire.BytesType)
		piece = protowire.AppendString(piece, text)
		piece = protowire.AppendTag(piece, 2, protowire.Fixed32Type)
		piece = protowire.AppendFixed32(piece, 0)
		fresh = protowire.AppendTag(fresh, 1, protowire.BytesType)
		fresh = protowire.AppendBytes(fresh, piece)
	}
	merged = make([]byte, 0, len(base)+len(fresh))
	merged = append(merged, base[:m.piecesEnd]...)
	merged = append(merged, fresh...)
	merged = append(merged, base[m.piecesEnd:]...)
	if _, err := Parse(merged); err != nil {
		return nil, 0, fmt.Errorf("the merged model: %w", err)
	}
	return merged, n, nil
}

// piecesOf lists what a file has to add.
func piecesOf(added []byte) ([]string, error) {
	if m, err := Read(added); err == nil && len(m.Pieces) > 0 {
		var texts []string
		for _, p := range m.Pieces {
			if p.Type == Normal || p.Type == UserDefined {
				texts = append(texts, p.Text)
			}
		}
		return texts, nil
	}
	var texts []string
	n := 0
	for line := range strings.Lines(string(added)) {
		n++
		text := strings.TrimRight(line, "\r\n")
		if text == "" {
			continue
		}
		if strings.ContainsAny(text, " \t\x00") || !strings.ContainsFunc(text, printable) {
			return nil, fmt.Errorf("added pieces, line %d: %q is not one piece (write a space as "+
				"U+2581), nor is the file a tokenizer.model: %w", n, text, ErrInvalid)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func printable(r rune) bool { return r > ' ' && r != '\uFFFD' }
