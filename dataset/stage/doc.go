// Package stage keeps the packed sequences of a source in the object store, where any of them can
// be read by its number: for sources that cannot be dealt to slots block by block.
//
// It owns: the format of what is kept, and the proof that what is read is what was written. It
// never reads a corpus, tokenizes, packs or orders: sequences come from the caller, in a series.
//
// # Format
//
// A series is a folder: an index, and parts of some 4 MiB that hold the sequences one behind
// another, all records of a part being as long as its longest, so that one range read gets one.
//
//	PREFIX/part-000000   record | record | ...   each: length, payload, zeros, SHA-256
//	PREFIX/index.json    {"id":..,"sequences":..,"parts":[{"records":512,"stride":8392},..]}
//	                     and a line with the SHA-256 of the first
//
//	payload   tokens: count, 4 bytes each; spans: count, and block, file, record, token, count each
//
// The digest of a record covers the id of the series and the number of the sequence as well, so a
// record of another series, or of another place, does not pass for it. The index is written last:
// where it is, all is. Counts and spans are varints; everything else is little-endian.
//
// # Use
//
//	w := stage.NewWriter(bucket, prefix, id)
//	err := w.Add(ctx, sequence)               // as often as there are sequences
//	err = w.Close(ctx, documents, tokens, passes)
//	s, err := stage.Open(ctx, bucket, prefix, id)   // store.ErrNotFound: not there, or not finished
//	sequence, err := s.Read(ctx, 17)
//
// # Invariants
//
//   - The same series under the same id makes the same objects, byte by byte: writers may race.
//   - P7: a record that does not verify is an error that names the object (ErrDamaged).
package stage
