package trace

import (
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// words makes each byte a token, 'x' being EOS.
type words struct{ onlyEOS }

func (words) Encode(dst []int32, text string) []int32 {
	for _, c := range []byte(text) {
		dst = append(dst, int32(c))
	}
	return dst
}
func (words) VocabSize() int       { return 256 }
func (words) BOS() (int32, bool)   { return 0, false }
func (words) TokenBytes(int32) int { return 1 }
func (words) StartBytes() int      { return 0 }

// A slot that reads a sequence that is another's, or one of its own twice, is found.
func TestI2_AStagedSequenceOutOfTurnIsFound(t *testing.T) {
	mem := memstore.New()
	mem.Set("mem://c/a.jsonl", []byte("{\"text\":\""+strings.Repeat("abcdefgh", 50)+"\"}\n"))
	corpus, err := dataset.Pin(t.Context(), mem,
		&pb.Data{Sources: []*pb.Source{{Name: "a", Uri: "mem://c/a.jsonl", Weight: 1}}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	cfg := dataset.Config{Corpus: corpus, SeqLen: 12, GlobalBatch: 2, DocMask: true, Stores: mem,
		Stage: "mem://s", Tokenizer: words{}, Hi: 2}
	if err := dataset.Stage(t.Context(), cfg, 0, 1, func(string, uint64) {}); err != nil {
		t.Fatal(err)
	}
	stream, err := dataset.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var turns []dataset.Sequence
	for range 3 {
		b, err := stream.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		turns = append(turns, b.Sequences...)
	}
	swapped := turns[2]
	swapped.Slot = 1
	for want, sequences := range map[string][]dataset.Sequence{
		"": turns, "whose turn it is": {turns[0], turns[1], turns[0]},
		"turn it is": {turns[0], turns[1], turns[2], swapped},
	} {
		a := newAuditor(&cfg)
		if err := a.openStaged(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		for i := range sequences {
			if err == nil {
				err = a.sequence(t.Context(), &sequences[i])
			}
		}
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
