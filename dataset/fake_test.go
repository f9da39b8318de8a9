package dataset

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bytesTokenizer makes each byte a token; 256 is BOS, 257 EOS.
type bytesTokenizer struct{}

var _ tokenize.Tokenizer = bytesTokenizer{}

func (bytesTokenizer) Encode(dst []int32, text string) []int32 {
	for i := range len(text) {
		dst = append(dst, int32(text[i]))
	}
	return dst
}

func (bytesTokenizer) Decode(ids []int32) []byte {
	var out []byte
	for _, id := range ids {
		if id < 256 {
			out = append(out, byte(id))
		}
	}
	return out
}

func (bytesTokenizer) TokenBytes(id int32) int {
	if id < 256 {
		return 1
	}
	return 0
}

func (bytesTokenizer) StartBytes() int    { return 0 }
func (bytesTokenizer) VocabSize() int     { return 258 }
func (bytesTokenizer) BOS() (int32, bool) { return 256, true }
func (bytesTokenizer) EOS() (int32, bool) { return 257, true }

// text is the content of a test source: records of these lengths, each told apart by its number.
func text(name string, lengths ...int) string {
	var out strings.Builder
	for i, n := range lengths {
		body := fmt.Sprintf("%s-%d ", name, i)
		body += strings.Repeat("x", max(0, n-len(body)))
		fmt.Fprintf(&out, "{\"id\":%d,\"text\":\"%s\"}\n", i, body)
	}
	return out.String()
}

// repeat makes n lengths that vary.
func repeat(n, from, to int) []int {
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = from + (i*7919)%(to-from+1)
	}
	return lengths
}

// testConfig makes a corpus of sources by name and content, with equal weights unless set later,
// and blocks of blockBytes.
func testConfig(tb testing.TB, slots, blockBytes int, contents ...string) Config {
	tb.Helper()
	mem := memstore.New()
	data := &pb.Data{}
	for i, content := range contents {
		uri := fmt.Sprintf("mem://corpus/%d.jsonl", i)
		mem.Set(uri, []byte(content))
		data.Sources = append(data.Sources, &pb.Source{
			Name: fmt.Sprintf("s%d", i), Uri: uri, Weight: float64(i + 1),
		})
	}
	corpus, err := Pin(context.Background(), mem, data, 1)
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range corpus.Sources { // Pin's blocks are too large for small tests
		layout, err := source.NewLayout(uint64(blockBytes), m.Files)
		if err != nil {
			tb.Fatal(err)
		}
		m.BlockBytes, m.Blocks = uint64(blockBytes), layout.Blocks()
	}
	return Config{
		Corpus: corpus, SeqLen: 24, GlobalBatch: slots, DocMask: true, Seed: 7,
		Tokenizer: bytesTokenizer{}, Stores: mem, Lo: 0, Hi: Slot(slots),
	}
}

func mustOpen(tb testing.TB, cfg Config, at *Cursor) *Stream {
	tb.Helper()
	s, err := Open(context.Background(), cfg, at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func mustNext(tb testing.TB, s *Stream) *Batch {
	tb.Helper()
	b, err := s.Next(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
