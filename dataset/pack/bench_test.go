package pack

import "testing"

// BenchmarkNext packs documents of some hundred tokens, as texts have, into sequences.
func BenchmarkNext(b *testing.B) {
	const seqLen = 2048
	docs := make([][]int32, 64)
	for i := range docs {
		docs[i] = make([]int32, 40+i*i%700)
	}
	for name, mask := range map[string]bool{"doc_mask": true, "plain": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p, n := New(seqLen, mask), 0
			pull := func() (Document, error) {
				n++
				return Document{Block: uint64(n), Tokens: docs[n%len(docs)]}, nil
			}
			for b.Loop() {
				if _, err := p.Next(pull); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*seqLen/1e6/b.Elapsed().Seconds(), "Mtokens/s")
		})
	}
}
