package dataset

import (
	"fmt"
	"testing"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// spaced puts a space in front of each text, as many a tokenizer does.
type spaced struct{ bytesTokenizer }

func (spaced) Encode(dst []int32, text string) []int32 {
	return bytesTokenizer{}.Encode(dst, " "+text)
}

func (spaced) StartBytes() int { return 1 }

// The bytes that losses are divided by are those of the text, not of what the tokenizer adds.
func TestTargetBytesAreThoseOfTheText(t *testing.T) {
	lengths := repeat(60, 9, 40)
	for _, bos := range []bool{false, true} {
		for _, docMask := range []bool{false, true} {
			cfg := testConfig(t, 1, 1<<20, text("a", lengths...))
			cfg.BOS, cfg.DocMask = bos, docMask
			plain, with := cfg, cfg
			with.Tokenizer = spaced{}
			a, b := bytesOfAnEpoch(t, plain, len(lengths)), bytesOfAnEpoch(t, with, len(lengths))
			if docMask && !bos { // the space is no target, but the letter behind it is one
				b -= int64(len(lengths))
			} else if !bos {
				b-- // the very first
			}
			if a != b {
				t.Errorf("bos %v, doc_mask %v: %d bytes without a space, %d with one", bos, docMask, a, b)
			}
		}
	}
}

// bytesOfAnEpoch are the target bytes of the first pass over a source of so many documents.
func bytesOfAnEpoch(t *testing.T, cfg Config, documents int) (n int64) {
	t.Helper()
	cfg.SeqLen = 1
	s := mustOpen(t, cfg, nil)
	for {
		q := mustNext(t, s).Sequences[0]
		if q.Spans[len(q.Spans)-1].Block > 0 {
			return n
		}
		n += q.TargetBytes
	}
}

// Empty files, and files of blank lines alone, are passed over wherever they lie.
func TestEmptyFiles(t *testing.T) {
	mem := memstore.New()
	for i, content := range []string{"", text("a", repeat(150, 0, 90)...), "", "\n\n",
		text("b", repeat(150, 0, 90)...), ""} {
		mem.Set(fmt.Sprintf("mem://c/%d.jsonl", i), []byte(content))
	}
	for _, slots := range []int{2, 64} { // read by blocks, and staged
		data := &pb.Data{Sources: []*pb.Source{{Name: "s", Uri: "mem://c/*.jsonl", Weight: 1}}}
		corpus, err := Pin(t.Context(), mem, data, uint32(slots))
		if err != nil {
			t.Fatal(err)
		}
		if got := corpus.Sources[0].Staged; got != (slots == 64) {
			t.Fatalf("%d slots: staged is %v", slots, got)
		}
		cfg := Config{Corpus: corpus, SeqLen: 24, GlobalBatch: slots, DocMask: true, Seed: 7,
			Tokenizer: bytesTokenizer{}, Stores: mem, Hi: Slot(slots), Stage: "mem://run"}
		mustStage(t, cfg, 1)
		s, records := mustOpen(t, cfg, nil), map[string]bool{}
		for range 3000 / slots {
			for _, q := range mustNext(t, s).Sequences {
				for _, x := range q.Spans {
					records[fmt.Sprint(x.File, x.Start)] = true
				}
			}
		}
		if len(records) != 300 {
			t.Errorf("%d slots: %d documents were read of 300", slots, len(records))
		}
	}
}
