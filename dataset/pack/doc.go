// Package pack lays the documents of one slot and source end to end and cuts them into sequences.
//
// It owns: the stride, the overlap of one token, document boundaries and masked targets. It never
// reads, tokenizes or chooses: documents come as tokens from a function of the caller's.
//
// A document is its tokens with EOS behind them (and BOS before them, if asked for). A sequence has
// seq_len+1 tokens: seq_len inputs, each followed by its target. The last one is the first input
// of the next sequence of the same slot and source, so each token is a target once.
//
//	seq_len = 6       a0 a1 a2 .  b0 b1 b2 b3 .  c0 c1 ...
//	sequence 1        [-----------------]
//	sequence 2                          [----------------]
//	doc_mask: Pos      0  1  2 3  0  1 | 0  1  2  0 ...
//	          First    0  0  0 0  4  4 | 0  0  0  3 ...
//	          Targets a1 a2  . -1 b1 b2| b3 .  -1 ...
//
// With doc_mask a token sees only its own document (First), positions count from the start of the
// document or of the sequence, and the first token of a document is no target: what precedes it
// is another document's end, which says nothing about it. Without doc_mask a token sees
// the whole sequence before it, and nothing is masked.
//
// A series of held-out documents ends; the rest of its last sequence is padding without targets.
//
// # Best fit
//
// Packer cuts documents wherever a sequence ends. BestFit keeps them whole where they fit, and
// leaves padding where none does; it looks ahead at most 64 pieces or four sequences' tokens. Its
// position is the oldest piece that it has not used and a bit for each one after it, so a resume
// reads at most 64 documents again, and a cursor grows by one number.
//
// Invariants: I2 (each token of each document is the second to last token of exactly one sequence,
// the very first of a slot and source excepted).
package pack
