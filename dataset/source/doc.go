// Package source turns the files of one source into an endless, seekable series of documents
// for each slot.
//
// It owns: the cut of a source into blocks, the order of the blocks in every epoch, who reads
// which block, the reading of JSON lines by ranges, and the errors that name a bad record.
// It never does: tokenize, choose between sources, skip data, or write.
//
// # Order
//
// The files of a source are cut into K blocks of block_bytes (the last one of a file is shorter).
// In epoch e a keyed permutation puts the blocks in order. Over all epochs block number
// n = e*K + position belongs to slot n mod B, so slot b reads n = b, b+B, b+2B, ... That is a
// pure function of the manifest, the seed and B; the number of ranks never enters.
//
//	file 0          file 1        blocks 0..4, K = 5
//	[ 0 ][ 1 ][2]   [ 3 ][4]
//	epoch 0: 3 0 4 1 2    epoch 1: 1 4 2 0 3     B = 2: slot 0 reads 3 4 2 | 4 0 ...
//	n:       0 1 2 3 4             5 6 7 8 9            slot 1 reads 0 1 | 1 2 3 ...
//
// # Records
//
// A record is a line and belongs to the block in which it starts; a reader therefore looks at the
// byte before its block, and reads on past its end to the end of the last record. Blank lines
// and empty texts are no documents. A block in which no document starts is passed over; that is
// a property of the block, so every reader passes over it alike.
//
//	block 6        |  block 7          |  block 8
//	..."}\n{"text":|"long record that e|nds here"}\n{"te...
//	       ^ block 6 reads this one    |  nothing starts in block 7
//
// # Use
//
//	src, err := source.Open(stores, manifest, source.Options{Seed: 7, Slots: 64})
//	r, err := src.Reader(slot, n, offset)   // n = slot, offset = 0: from the start
//	doc, err := r.Next(ctx)
//
// # Invariants
//
//   - I2: every record of a block number is given out once, in file order, to the slot n mod B.
//   - I13: no input makes it panic, hang, or hold more than max_record and a window per reader.
//     What it cannot read is an error that names the file, the byte and the fix (ErrInvalid).
package source
