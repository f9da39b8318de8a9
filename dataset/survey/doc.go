// Package survey counts what the sources of a resolved run hold, before anything is trained:
// documents, tokens, how often they would be seen, duplicates, broken records.
//
// It owns: the one pass over every source, and the figures. It never writes, and it changes nothing
// that a run would do. Memory is bounded: duplicates are counted exactly up to maxHashes different
// documents a source, and from a sample of the hashes beyond.
//
//	files --> source.Reader, one a goroutine --> tokenizer --> Counts, added up
//	mixer, the first steps --> realised share      stream, the first step --> samples
package survey
