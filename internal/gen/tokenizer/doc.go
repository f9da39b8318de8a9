// Command tokenizer trains the byte-level BPE tokenizer of the examples on examples/corpora and
// writes tokenizer.json and tokenizer_config.json in the Hugging Face format.
//
// It owns: word counts, the choice of merges, and the two files. It never does: read a clock or
// depend on map order; the same corpora give the same bytes.
//
//	go run ./internal/gen/tokenizer -corpora examples/corpora -out examples/tokenizer
//
// The vocabulary of 4096: ids 0 and 1 are <|endoftext|> and <|begin|>, ids 2..257 the bytes, and
// the rest one merge each. Words are those of the Llama-3 pattern, so the trainer splits with
// package tokenize itself. A test trains again and compares with the committed files.
package main
