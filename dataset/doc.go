// Package dataset streams the sequences that a run trains on.
//
// It owns: pinning a corpus (Pin), the stream of a range of slots (Stream), its cursor, and the
// ledger digests that prove what was consumed. It composes dataset/mix (which source), source
// (which text), tokenize and pack (which tokens). It never learns W, never talks to other ranks,
// and writes nothing but staged sources (Stage), and removes nothing else (Unstage).
//
//	              step t, slot b
//	mix --------> source s --+
//	                         v
//	source.Reader(s, b) -> tokenize -> pack.Packer(s, b) -> Sequence + Spans -> Digest
//	      block number n     one record     one token of overlap
//
// Each slot has a lane per source: a reader and a packer that go on where the lane's last sequence
// ended. A lane depends on nothing but its own position, so any split of the slots over ranks
// gives the same sequences.
//
// A source with too few blocks for that is staged: packed once as a whole (Stage) and kept in the
// store (dataset/stage). Its lanes read sequences of a permuted series, each by its number.
//
// # Memory
//
// With one rank there are thousands of lanes. Their windows of text are cut to their number, and
// what lies beyond heldBytes is closed (hold): decoders first, then whole lanes, which go on as
// after a resume. TestMemoryOfAReaderOfATerabyte has the bound.
//
// # Use
//
//	corpus, err := dataset.Pin(ctx, stores, spec.Data, globalBatch) // once, at launch
//	s, err := dataset.Open(ctx, dataset.Config{Corpus: corpus, ...}, nil)
//	defer s.Close()
//	b, err := s.Next(ctx)     // b.Sequences: slots Lo..Hi-1 of step b.Step
//	json.Marshal(b.Cursor)    // the stream after this batch
//
// # Held-out sets
//
// A Set (PinSets, OpenSet) is the finite twin of a stream: the documents of its files in file
// order, packed the same way, once, the last sequence padded. It has no slots and no cursor.
//
// # Cursor
//
// A position per slot and source: block number, byte offset of the record in its block, and the
// token of the record that the next sequence starts with (of a staged source the number of the
// sequence, in place of the block's); and the state of the mixer, which all
// ranks share. MergeCursors joins those of all ranks; Open takes any cursor that covers its slots,
// so a run may resume at another W. Resuming re-reads one record per lane.
//
// # Invariants
//
//   - I2: the sequences of a run are a function of corpus, seed, seq_len, B and tokenizer; a stream
//     resumed from the cursor of step t gives step t+1 onwards of that very series.
//   - I10: at every step each source is within S sequences of its share. A sequence counts as
//     seq_len targets; the few that doc_mask masks (starts of documents) count like the others,
//     because ranks would have to exchange their numbers to do otherwise.
//   - I13: bad input is an error that names the place and the fix, in bounded memory.
package dataset
