package trace

import (
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const eos = 9

type onlyEOS struct{ tokenize.Tokenizer }

func (onlyEOS) EOS() (int32, bool) { return eos, true }

func span(block uint64, start int64, token, count int) dataset.Span {
	return dataset.Span{Block: block, Start: start, Token: token, Count: count}
}

func sequence(tokens []int32, spans ...dataset.Span) dataset.Sequence {
	return dataset.Sequence{Tokens: tokens, Targets: tokens[1:], Spans: spans}
}

// A lane of slot 0 of 2: two documents in block number 0, then block number 2.
func TestI2_ATokenTwiceOrLeftOutIsFound(t *testing.T) {
	first := sequence([]int32{1, 2, eos, 4, 5}, span(0, 0, 0, 3), span(0, 40, 0, 2))
	good := sequence([]int32{5, eos, 1, 2, 3}, span(0, 40, 1, 2), span(2, 7, 0, 3))
	for want, second := range map[string]dataset.Sequence{
		"":                             good,
		"starts at token 0":            sequence(good.Tokens, span(0, 40, 0, 2), span(2, 7, 0, 3)),
		"starts at token 2":            sequence(good.Tokens, span(0, 40, 2, 2), span(2, 7, 0, 3)),
		"corpus byte 41":               sequence(good.Tokens, span(0, 41, 1, 2), span(2, 7, 0, 3)),
		"in block number 4":            sequence(good.Tokens, span(4, 40, 1, 2), span(6, 7, 0, 3)),
		"after file:///corpus byte 40": sequence(good.Tokens, span(0, 40, 1, 2), span(0, 0, 0, 3)),
		"starts with its token 1":      sequence(good.Tokens, span(0, 40, 1, 2), span(2, 7, 1, 3)),
		"not of this slot":             sequence(good.Tokens, span(0, 40, 1, 2), span(3, 7, 0, 3)),
		"left before its end":          sequence([]int32{5, 6, 1, 2, 3}, good.Spans...),
	} {
		file := &pb.PinnedFile{Uri: "file:///corpus"}
		a := newAuditor(&dataset.Config{GlobalBatch: 2, Tokenizer: onlyEOS{}, Corpus: &pb.Corpus{
			Sources: []*pb.SourceManifest{{Name: "s", Files: []*pb.PinnedFile{file}}}}})
		if err := a.sequence(t.Context(), &first); err != nil {
			t.Fatal(err)
		}
		err := a.sequence(t.Context(), &second)
		switch {
		case want == "" && err != nil:
			t.Errorf("%v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
