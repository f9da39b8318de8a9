package trace

import (
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Under best_fit, with sequences of 4 inputs: a document of 10 tokens is cut into 0..4, 4..8 and
// 8..9; the last part may be read first.
func TestI2_APartOfADocumentTwiceOrLeftOutIsFound(t *testing.T) {
	first := sequence([]int32{1, eos, 8, eos, 0}, span(0, 40, 0, 2), span(0, 0, 8, 2))
	again := sequence([]int32{8, eos}, span(0, 0, 8, 2))
	begin := sequence([]int32{1, 2, 3, 4, 5}, span(0, 0, 0, 5))
	middle := sequence([]int32{5, 6, 7, 8, 8}, span(0, 0, 4, 5))
	for want, c := range map[string]struct {
		sequences []dataset.Sequence
		done      uint64
	}{
		"":                     {[]dataset.Sequence{first, begin, middle}, 2},
		"consumed twice":       {[]dataset.Sequence{first, begin, begin}, 0},
		"token 8 of":           {[]dataset.Sequence{first, middle, again}, 0},
		"cut at tokens 1 and":  {[]dataset.Sequence{sequence([]int32{1, eos}, span(0, 0, 1, 2))}, 0},
		"cut at tokens 4 and":  {[]dataset.Sequence{sequence([]int32{1, 2, 3}, span(0, 0, 4, 3))}, 0},
		"file byte 0 in block": {[]dataset.Sequence{first, begin}, 2},
		"left out":             {[]dataset.Sequence{begin, middle}, 1},
	} {
		cfg := &dataset.Config{GlobalBatch: 2, SeqLen: 4, Packing: pb.Packing_BEST_FIT,
			Tokenizer: onlyEOS{}, Corpus: &pb.Corpus{Sources: []*pb.SourceManifest{{
				Name: "s", WeightQ32: 1 << 32, Files: []*pb.PinnedFile{{Uri: "file"}}}}}}
		a := newAuditor(cfg)
		var err error
		for i := range c.sequences {
			if err == nil {
				err = a.sequence(t.Context(), &c.sequences[i])
			}
		}
		for key, l := range a.lanes {
			if err == nil {
				err = a.settle(key, l, c.done)
			}
		}
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
