package tokenize

import "iter"

// Llama3 is the word pattern of Llama 3, as it stands in tokenizer.json.
const Llama3 = patternL3

// Words cuts valid UTF-8 text into the words of a pattern this package knows; for another
// pattern there are none. It is for training a tokenizer; encoding does this inside.
func Words(pattern, text string) iter.Seq[string] {
	split, t := splitters[pattern], classes()
	return func(yield func(string) bool) {
		for i := 0; split != nil && i < len(text); {
			end := split(t, text, i)
			if !yield(text[i:end]) {
				return
			}
			i = end
		}
	}
}

// ByteToken is how a byte-level vocabulary writes one byte.
func ByteToken(b byte) string {
	for r, known := range byteOfChar {
		if known == b {
			return string(r)
		}
	}
	return "" // not reached: the table holds every byte
}
