// Package faulty makes stores fail on purpose: a store.Opener around another whose Rules say which
// calls break and how. It also counts calls, so that a test can assert how often something is read.
//
//	op := faulty.Wrap(real)
//	op.Add(faulty.Rule{Op: faulty.Read, Key: "rank-1", Nth: 2, Fault: faulty.FlipBit(100)})
//
// Only tests import it.
package faulty
