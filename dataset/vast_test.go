package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/banyan-train/banyan/dataset/mix"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

const (
	vastSources = 4
	vastFiles   = 256     // of each source
	vastFile    = 1 << 30 // bytes of each, about
	vastRecord  = 4 << 10 // bytes of each line
	vastFrame   = 64      // records of a zstd frame
)

// vast is a store that makes the bytes of its files by position, so that a terabyte needs no disk.
// All files of a kind are the same.
type vast struct {
	ending string
	size   int64
	period []byte // the file is this again and again
	tail   []byte // and then this
}

var (
	_ store.Opener = (*vast)(nil)
	_ store.Bucket = (*vast)(nil)
)

// newVast makes JSON lines, or with packed the same as frames of zstd with a seek table.
func newVast(packed bool) *vast {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the root tree grew down and stood where branch of it had no light left " +
		"water carried seeds into every crack that walls below leave open for them")
	var text bytes.Buffer
	for i := range vastFrame {
		line := fmt.Sprintf(`{"id":%d,"text":"`, i)
		for len(line) < vastRecord-16 {
			line += words[random.IntN(len(words))] + " "
		}
		text.WriteString(line + strings.Repeat(".", vastRecord-3-len(line)) + "\"}\n")
	}
	if !packed {
		return &vast{ending: "jsonl", size: vastFile, period: text.Bytes()}
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	frame := w.EncodeAll(text.Bytes(), nil)
	n := vastFile / len(frame)
	var table []byte
	number := func(v int) { table = binary.LittleEndian.AppendUint32(table, uint32(v)) }
	number(0x184D2A5E)
	number(8*n + 9)
	for range n {
		number(len(frame))
		number(text.Len())
	}
	number(n)
	table = append(table, 0)
	number(0x8F92EAB1)
	return &vast{ending: "jsonl.zst", size: int64(n*len(frame) + len(table)), period: frame,
		tail: table}
}

func (v *vast) Open(uri string) (store.Bucket, string, error) { return v, uri, nil }

func (v *vast) Stat(_ context.Context, key string) (store.Info, error) {
	return store.Info{Key: key, Size: v.size, ETag: "vast"}, nil
}

func (v *vast) List(ctx context.Context, prefix string) (infos []store.Info, err error) {
	for i := range vastFiles {
		info, _ := v.Stat(ctx, fmt.Sprintf("%s%03d.%s", prefix, i, v.ending))
		infos = append(infos, info)
	}
	return infos, nil
}

func (v *vast) ReadRange(ctx context.Context, _ string, off int64, p []byte, _ string) error {
	if off+int64(len(p)) > v.size {
		return io.ErrUnexpectedEOF
	}
	body := v.size - int64(len(v.tail))
	for len(p) > 0 {
		from := v.period[off%int64(len(v.period)):]
		if off >= body {
			from = v.tail[off-body:]
		} else if body-off < int64(len(from)) {
			from = from[:body-off]
		}
		n := copy(p, from)
		p, off = p[n:], off+int64(n)
	}
	return ctx.Err()
}

func (v *vast) Put(context.Context, string, io.ReadSeeker, int64, bool) (store.Info, error) {
	return store.Info{}, errors.ErrUnsupported
}

func (v *vast) Delete(context.Context, string) error { return errors.ErrUnsupported }

// vastRun is a run of four sources over a terabyte, and where it stands after step 100,000: every
// lane in the middle of a document in the middle of a block.
func vastRun(tb testing.TB, packed bool, tok tokenize.Tokenizer) (Config, *Cursor) {
	tb.Helper()
	const batch, step, deep = 512, 100_000, 24 // blocks that a lane has read, at 2048 tokens a step
	v := newVast(packed)
	data := &pb.Data{}
	for i := range vastSources {
		data.Sources = append(data.Sources, &pb.Source{Name: fmt.Sprint("s", i), Weight: 1,
			Uri: fmt.Sprintf("vast://s%d/*.%s", i, v.ending)})
	}
	corpus, err := Pin(tb.Context(), v, data, batch)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := Config{Corpus: corpus, SeqLen: 2048, GlobalBatch: batch, DocMask: true, Seed: 7,
		Tokenizer: tok, Stores: v, Hi: batch}
	m, err := mix.New(PlanOf(corpus), batch)
	if err != nil {
		tb.Fatal(err)
	}
	for range vastSources { // equal weights: nothing is owed after as many steps
		m.Next()
	}
	c := &Cursor{Version: cursorVersion, Stream: streamID(&cfg), Mixer: m.State(),
		Slots: make([][]Position, batch)}
	c.Mixer.Step = step
	random := rand.New(rand.NewPCG(3, 4))
	for slot := range c.Slots {
		for range vastSources {
			c.Slots[slot] = append(c.Slots[slot], Position{Block: uint64(slot + deep*batch),
				Offset: vastRecord * (1 + random.Int64N(1000)), Token: 100})
		}
	}
	return cfg, c
}

// The reader of a terabyte must stay within 200 MB: lanes and the batches that wait.
func TestMemoryOfAReaderOfATerabyte(t *testing.T) {
	for _, packed := range []bool{false, true} {
		cfg, at := vastRun(t, packed, free{})
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := mustOpen(t, cfg, at)
		for range 3 * vastSources { // each lane has its turn, thrice
			mustNext(t, s)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		const most = 200_000_000
		if held := int64(after.HeapAlloc - before.HeapAlloc); held > most {
			t.Errorf("zstd %v: the stream holds %d bytes, want at most %d", packed, held, most)
		} else {
			t.Logf("zstd %v: %d bytes", packed, held)
		}
		s.Close()
	}
}

// BenchmarkResume measures the time to the first batch after step 100,000 of a run over a terabyte,
// with the example tokenizer, and what the process holds when every lane has had its turn.
func BenchmarkResume(b *testing.B) {
	op, err := router.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	tok, _, err := tokenize.Load(b.Context(), op, "../examples/tokenizer")
	if err != nil {
		b.Fatal(err)
	}
	for _, packed := range []bool{false, true} {
		b.Run(fmt.Sprintf("zstd=%v", packed), func(b *testing.B) {
			cfg, at := vastRun(b, packed, tok)
			var m runtime.MemStats
			var used time.Duration
			for b.Loop() {
				before := processorTime(b)
				s := mustOpen(b, cfg, at)
				if mustNext(b, s).Step != at.Step()+1 {
					b.Fatal("not the step behind the cursor")
				}
				b.StopTimer()
				used += processorTime(b) - before
				for range 3 * vastSources {
					mustNext(b, s)
				}
				runtime.GC()
				runtime.ReadMemStats(&m)
				s.Close()
				b.StartTimer()
			}
			b.ReportMetric(used.Seconds()/float64(b.N), "processor-s/op")
			b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-held")
			b.ReportMetric(float64(m.Sys)/1e6, "MB-of-the-system")
		})
	}
}

// processorTime is that of all threads, which a busy machine does not lengthen much.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
