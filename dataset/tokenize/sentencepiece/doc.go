// Package sentencepiece reads a SentencePiece tokenizer.model and encodes and decodes as the
// library of that name does, version 0.2.3: the same ids and the same text for every input,
// invalid UTF-8 included.
//
// It owns: the file format (reading, checking, and writing a vocabulary with more pieces), the
// normalizer, and how pieces are spelled. The search for pieces is package pieces. It never does:
// train, sample, or guess. A file that asks for anything this package does not do exactly is
// refused at load, by the name of the construct.
//
// Supported: models of type BPE and UNIGRAM; pieces of every type; byte_fallback; a precompiled
// charsmap; add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces and
// treat_whitespace_as_suffix. Refused: WORD and CHAR models, a denormalizer, pieces that are not
// UTF-8.
//
//	tok, err := sentencepiece.Parse(data)
//	ids = tok.Encode(ids[:0], text)
//
// How a text travels:
//
//	text -> user-defined pieces as they are, the rest by the charsmap -> spaces -> pieces -> ids
//
// Inside, a space that the model writes as U+2581 is one plain space: in pieces, in normalized
// text, and in what a token counts for. A U+2581 of the text itself is the same to the model, and
// so here.
//
// TokenBytes counts a token by the bytes of normalized text: a byte piece is 1, U+2581 is 1, and 0
// are control pieces and the unknown piece, whose text is lost. With the identity normalizer, and
// without remove_extra_whitespaces, the tokens of a text add up to its length, and one more for
// the dummy prefix, which its first token carries (StartBytes).
package sentencepiece
