// Package tokenize turns text into token ids and back, exactly as the Hugging Face `tokenizers`
// library does for the same files.
//
// It owns: reading tokenizer.json, or vocab.json with merges.txt (folder.go), and the configs
// beside them; splitting text into words by hand-written scanners, byte-pair merging, added tokens,
// and the pin of a tokenizer's content.
// It never does: add BOS or EOS (the packer does), truncate, pad, or guess. A file that asks for
// anything this package does not do exactly is refused at load, by the name of the construct.
//
// Supported: model BPE over bytes (`ignore_merges` included; merges as strings or as pairs); the
// pre-tokenizers ByteLevel, and Sequence of Split (GPT-2, Llama-3 or Qwen2 pattern) or Digits,
// then ByteLevel; normalizer null or NFC; added tokens with all flags; decoder ByteLevel. A
// post_processor (null, ByteLevel, TemplateProcessing or a Sequence of them), truncation, padding
// are accepted and do nothing here. Without tokenizer.json, the classes Qwen2Tokenizer and
// GPT2Tokenizer.
//
//	tok, pin, err := tokenize.Load(ctx, stores, "s3://models/seed")
//	ids = tok.Encode(ids[:0], text)
//
// How a text travels:
//
//	text -> added tokens cut out -> NFC -> added tokens cut out -> words
//	        (normalized: false)           (normalized: true)
//	words -> pieces that no merge connects (joints.go) -> cache (cache.go), or else merges
//	         (merge.go), from whole characters where that is the same (chars.go) -> ids
//
// Every Tokenizer of this package is safe for concurrent use: the tables never change after
// Parse, and each call borrows a scratch (merge buffers and a bounded word cache, about 2.6 MiB)
// from a free list that grows to the number of concurrent calls. The cache never changes a result.
//
// Text that is not valid UTF-8 is read as if each byte that starts no valid sequence were U+FFFD,
// which is what encoding/json makes of such a record.
//
// Two facts hold for every text without added tokens when the file sets no add_prefix_space and
// no normalizer: Decode(Encode(x)) == x, and the TokenBytes of Encode(x) add up to len(x).
//
// Letters, numbers and white space are those of Unicode 16.0, as in the peer: Go's tables and the
// ranges they lack (class.go). A test compares every code point, so a toolchain with other tables
// cannot change ids unseen. NFC is the peer's too, whose tables are older than Go's (nfc.go).
package tokenize
