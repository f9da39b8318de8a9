package dataset

import (
	"context"
	"fmt"
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

// BenchmarkStage measures how fast a source is staged: all but the tokenizer.
func BenchmarkStage(b *testing.B) {
	content := text("a", repeat(20000, 100, 8000)...)
	b.SetBytes(int64(len(content)))
	cfg := testConfig(b, 32, 64<<10, content)
	cfg.Corpus.Sources[0].Staged = true
	cfg.Tokenizer, cfg.SeqLen = free{}, 2048
	run := 0
	for b.Loop() {
		run++
		cfg.Stage = fmt.Sprint("mem://run/", run)
		mustStage(b, cfg, 1)
	}
}

// BenchmarkStagedStream measures reading a staged source, digests and masks included.
func BenchmarkStagedStream(b *testing.B) {
	cfg := testConfig(b, 32, 64<<10, text("a", repeat(20000, 100, 8000)...))
	cfg.Corpus.Sources[0].Staged, cfg.Stage = true, "mem://run"
	cfg.Tokenizer, cfg.SeqLen = free{}, 2048
	mustStage(b, cfg, 1)
	s := mustOpen(b, cfg, nil)
	for b.Loop() {
		mustNext(b, s)
	}
	b.ReportMetric(float64(b.N)*32*2048/b.Elapsed().Seconds(), "tokens/s")
}
