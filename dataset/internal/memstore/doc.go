// Package memstore is a store in memory, for the tests below dataset: objects that a test can
// change, break and count the reads of.
//
// It owns nothing beyond the test that made it, and never deletes.
//
//	m := memstore.New()
//	m.Set("mem://corpus/a.jsonl", data)
//	bucket, key, err := m.Open("mem://corpus/a.jsonl")
//
// It has no invariants of its own; store's contract (exact ranges, ErrChanged) holds.
package memstore
