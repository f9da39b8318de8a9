// Package trace replays the data of a run, without its model: what a step was trained on (Why), and
// whether a whole history consumed what its ledger says (Audit).
//
// It owns: the replay, and what is proved on the way. It never writes, and it trusts neither the
// cursor it starts from nor the corpus: every step's digest is held against the run's own records.
//
//	cursor of step S, digest of S --> stream --> step S+1 .. T --> chain of digests == record of T?
//	                                                 |
//	                                                 +--> spans: file, record, tokens, text
//
// # Invariants
//
//   - I2: Audit proves it for one run: in each lane (slot and source) every span goes on where the
//     one before it ended, by exactly one token of overlap, documents end in EOS, and block numbers
//     only grow and belong to their slot.
//   - P7: a digest that differs is an error that names the first such step (ErrDiffers).
package trace
