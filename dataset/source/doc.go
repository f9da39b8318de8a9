// Package source turns the files of one source into an endless, seekable series of documents
// for each slot.
//
// It owns: the cut of a source into blocks, the order of the blocks in every epoch, who reads
// which block, the reading of records by ranges, and the errors that name a bad one.
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
// A file is cut every block_bytes where its bytes may be cut anywhere. Else its blocks are pinned
// at launch (Cut), and block_bytes only says how far small ones are joined:
//
//	JSON lines, text by line or paragraph    every block_bytes
//	parquet                                  each row group
//	zstd with a seek table                   frames, joined up to block_bytes
//	zstd without one                         the same, if the source has at most 256 MiB of it
//	gzip, zstd of one frame or much of it    the whole file
//	text, a document a file                  the whole file
//
// # Records
//
// A record is a line of JSON, a line, paragraph or all of a text file, or a row. It belongs to the
// block in which it starts; a reader therefore looks at the byte before its block, and reads on
// past its end to the end of the last record. Blank lines and empty texts are no documents. A
// block in which no document starts is passed over; that is a property of the block, so every
// reader passes over it alike.
//
//	block 6        |  block 7          |  block 8
//	..."}\n{"text":|"long record that e|nds here"}\n{"te...
//	       ^ block 6 reads this one    |  nothing starts in block 7
//
// What stands before a compressed block is not known without decompressing all of the block before.
// So of two blocks of one compressed file a record that starts just where the second does is the
// first one's; and a paragraph belongs to the block of the blank line before it.
//
// A place in a compressed block is a byte of what the block decompresses to; in parquet it is a
// row. A reader that is opened there goes to its frame by the seek table or, without one, reads the
// block again from its start, which for gzip and for zstd of one frame is the start of the file:
// `banyan plan` says so.
//
//	file -> content: bytes as they are (plain) or decompressed (packed)
//	     -> window: the part in memory
//	     -> records: lines, paragraphs, whole, or rows straight from the file
//	     -> parse: JSON field or text; UTF-8; normalization
//
// # Text
//
// It is UTF-8. Bytes that are not are an error (invalid_utf8: refuse, the default), or each run of
// them becomes U+FFFD (replace). Nothing else changes unless the source's normalize list says so:
// nfc, nfd, nfkc, nfkd (Unicode's forms), lf (every end of line a newline), in its order. A line or
// paragraph loses the \r before its last newline. The list is pinned in the manifest.
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
//     TestI2EveryRecordOnceInEveryFormat reads every format, cut and compressed in every way.
//   - I13: no input makes it panic, hang, or hold more than max_record and a window per reader.
//     What it cannot read is an error that names the file, the byte and the fix (ErrInvalid).
//     An open zstd block holds the frame's window on top (2 MiB as `zstd` writes it, 128 at
//     most), an open row group one page of the text's column (128 MiB at most); Reader.Held says
//     about how much it is, Reader.Rest gives it back until the next call.
package source
