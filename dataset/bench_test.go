package dataset

import (
	"context"
	"testing"
)

// free is a tokenizer that costs next to nothing: a token for every four bytes.
type free struct{ bytesTokenizer }

func (free) Encode(dst []int32, text string) []int32 {
	for i := 0; i < len(text); i += 4 {
		dst = append(dst, int32(text[i]))
	}
	return dst
}

func (free) TokenBytes(int32) int { return 4 }

// BenchmarkStream measures mixing, reading, parsing, packing and digests: all but the tokenizer.
func BenchmarkStream(b *testing.B) {
	cfg := testConfig(b, 32, 64<<10, text("a", repeat(2000, 100, 8000)...),
		text("b", repeat(2000, 1000, 4000)...))
	cfg.Tokenizer, cfg.SeqLen = free{}, 2048
	s, err := Open(context.Background(), cfg, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if _, err := s.Next(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*32*2048/b.Elapsed().Seconds(), "tokens/s")
}
