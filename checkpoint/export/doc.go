// Package export turns a checkpoint into a Hugging Face folder that transformers loads: the model
// is the user's at any time (P6). It composes the verified checkpoint reader, the hf writer and the
// tokenizer's files, and holds one tensor in memory at a time.
package export
