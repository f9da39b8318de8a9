package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// corpus is a source in memory.
type corpus struct {
	store    *memstore.Store
	manifest *pb.SourceManifest
	options  Options
	window   int64
	rest     bool // readers rest after every document
}

func newCorpus(tb testing.TB, blockBytes uint64, files ...string) *corpus {
	tb.Helper()
	c := &corpus{store: memstore.New(), options: Options{Seed: 7, Slots: 1}, window: MaxWindow}
	c.manifest = &pb.SourceManifest{Name: "wiki", TextField: "text", BlockBytes: blockBytes}
	for i, data := range files {
		uri := fmt.Sprintf("mem://wiki/%d.jsonl", i)
		c.store.Set(uri, []byte(data))
		info, err := c.store.Stat(context.Background(), uri)
		if err != nil {
			tb.Fatal(err)
		}
		c.manifest.Files = append(c.manifest.Files,
			&pb.PinnedFile{Uri: uri, Size: uint64(info.Size), Etag: info.ETag})
	}
	layout, err := NewLayout(blockBytes, c.manifest.Files)
	if err != nil {
		tb.Fatal(err)
	}
	c.manifest.Blocks = layout.Blocks()
	return c
}

type fataler interface{ Fatal(...any) }

func (c *corpus) open(t fataler) *Source {
	s, err := Open(c.store, c.manifest, c.options)
	if err != nil {
		t.Fatal(err)
	}
	s.window = c.window
	return s
}

func (c *corpus) reader(t fataler, slot int) *Reader {
	r, err := c.open(t).Reader(slot, uint64(slot), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// epoch reads the documents of epoch 0, of all slots.
func (c *corpus) epoch(t fataler) []Document {
	c.manifest.MaxEpochs = 1
	var docs []Document
	for slot := range c.options.Slots {
		if uint64(slot) >= c.manifest.Blocks {
			break
		}
		r := c.reader(t, slot)
		for {
			doc, err := r.Next(context.Background())
			if errors.Is(err, ErrExhausted) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if docs = append(docs, doc); c.rest {
				r.Rest()
			}
		}
	}
	return docs
}

// naive finds the documents of a file the simple way: by byte offset.
func naive(data string) map[int64]string {
	docs := map[int64]string{}
	at := int64(0)
	for line := range strings.SplitSeq(data, "\n") {
		if strings.TrimSpace(line) != "" {
			text, err := ParseRecord([]byte(line), "text")
			if err != nil {
				panic(err)
			}
			if text != "" {
				docs[at] = text
			}
		}
		at += int64(len(line)) + 1
	}
	return docs
}

// Every cut of a file into blocks, and every size of the windows it is read in, must give every
// record once, from the block in which it starts.
func TestI2EveryRecordOnceAtEveryBlockBoundary(t *testing.T) {
	files := map[string]string{
		"plain":      "{\"text\":\"a\"}\n{\"text\":\"bb\"}\n{\"text\":\"ccc\"}\n",
		"no newline": "{\"text\":\"a\"}\n{\"text\":\"bb\"}",
		"crlf":       "{\"text\":\"a\"}\r\n{\"text\":\"bb\"}\r\n\r\n{\"text\":\"c\"}\r\n",
		"blank":      "\n\n{\"text\":\"a\"}\n \n\n\n{\"text\":\"b\"}\n\n",
		"empty text": "{\"text\":\"\"}\n{\"text\":\"b\"}\n{\"text\":\"\"}\n",
		"utf-8":      "{\"text\":\"中文\"}\n{\"text\":\"é😀\"}\n{\"文\":1,\"text\":\"末\"}\n",
		"one":        "{\"text\":\"" + strings.Repeat("long ", 20) + "\"}",
	}
	for name, data := range files {
		want := naive(data)
		for blockBytes := 1; blockBytes <= len(data)+1; blockBytes++ {
			for _, window := range []int64{1, 2, 7, 64, MaxWindow} {
				c := newCorpus(t, uint64(blockBytes), data)
				c.window = window
				c.options.Slots = 3
				docs := c.epoch(t)
				for _, doc := range docs {
					if want[doc.Start] != doc.Text {
						t.Fatalf("%s, block %d, window %d: %q at %d, want %q",
							name, blockBytes, window, doc.Text, doc.Start, want[doc.Start])
					}
					if doc.Offset < 0 || doc.Offset >= int64(blockBytes) ||
						(doc.Start-doc.Offset)%int64(blockBytes) != 0 {
						t.Fatalf("%s, block %d: record at %d has offset %d in its block",
							name, blockBytes, doc.Start, doc.Offset)
					}
				}
				if len(docs) != len(want) {
					t.Fatalf("%s, block %d, window %d: %d documents, want %d",
						name, blockBytes, window, len(docs), len(want))
				}
			}
		}
	}
}

func TestI2ReaderResumesAtEveryRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var data strings.Builder
		for i := range rapid.IntRange(1, 12).Draw(t, "records") {
			fmt.Fprintf(&data, "{\"text\":\"%d%s\"}%s", i,
				strings.Repeat("界", rapid.IntRange(0, 9).Draw(t, "length")),
				rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "end"))
		}
		c := newCorpus(nopTB{}, rapid.Uint64Range(1, 120).Draw(t, "block"), data.String())
		c.options.Slots = rapid.IntRange(1, 4).Draw(t, "slots")
		c.window = rapid.Int64Range(1, 50).Draw(t, "window")
		slot := rapid.IntRange(0, c.options.Slots-1).Draw(t, "slot")
		straight := c.reader(t, slot)
		var series []Document
		for range 20 {
			doc, err := straight.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			series = append(series, doc)
		}
		from := rapid.IntRange(0, 18).Draw(t, "from")
		again, err := c.open(t).Reader(slot, series[from].Block, series[from].Offset)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range series[from:] {
			got, err := again.Next(context.Background())
			if err != nil || got != want {
				t.Fatalf("resumed at %d, document %d: %+v, %v; want %+v", from, from+i, got, err, want)
			}
		}
	})
}

// nopTB lets newCorpus run inside rapid.Check; its errors cannot happen there.
type nopTB struct{ testing.TB }

func (nopTB) Helper() {}

func TestSlotsReadTheirBlocksInThePermutedOrder(t *testing.T) {
	var data strings.Builder
	for i := range 12 {
		fmt.Fprintf(&data, "{\"text\":\"%02d\"}\n", i) // 14 bytes: a record a block
	}
	c := newCorpus(t, 14, data.String())
	c.options.Slots = 5
	for slot := range 5 {
		r := c.reader(t, slot)
		for n := uint64(slot); n < 40; n += 5 {
			doc, err := r.Next(context.Background())
			want := NewPermutation(12, 7, "wiki", n/12).At(n % 12)
			if err != nil || doc.Block != n || doc.Text != fmt.Sprintf("%02d", want) {
				t.Fatalf("slot %d: %+v, %v; want block number %d with %02d", slot, doc, err, n, want)
			}
		}
	}
}

func TestBadRecordsAreNamed(t *testing.T) {
	good := "{\"text\":\"good\"}\n"
	for bad, want := range map[string]string{
		"{\"text\":\"\xff\"}\n":      "invalid UTF-8 (byte 25): convert the file to UTF-8",
		"{\"text\":\"a\"\n":          "the JSON ends too early",
		"plain text\n":               "not a JSON object",
		"{\"body\":\"a\"}\n":         "no field \"text\"",
		"{\"text\":7}\n":             "is a number",
		"{\"text\":\"" + long + "\"": "longer than max_record (64 bytes)",
		long + "\n":                  "split it, or raise data.max_record",
	} {
		for _, window := range []int64{3, MaxWindow} {
			c := newCorpus(t, 1<<20, good+bad)
			c.options.MaxRecord, c.window = 64, window
			r := c.reader(t, 0)
			if _, err := r.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
			_, err := r.Next(context.Background())
			var record *RecordError
			if !errors.As(err, &record) || !errors.Is(err, ErrInvalid) {
				t.Errorf("%.20q: %v", bad, err)
				continue
			}
			if record.Record != 16 || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), `source "wiki": mem://wiki/0.jsonl: record at byte 16`) {
				t.Errorf("%.20q: %v, want %q", bad, err, want)
			}
		}
	}
}

var long = strings.Repeat("x", 100)

func TestRecordOfExactlyMaxRecordIsRead(t *testing.T) {
	line := "{\"text\":\"" + strings.Repeat("x", 53) + "\"}" // 64 bytes
	for _, data := range []string{line, line + "\n", line + "\n" + line + "\n"} {
		c := newCorpus(t, 1<<20, data)
		c.options.MaxRecord, c.window = 64, 5
		if _, err := c.reader(t, 0).Next(context.Background()); err != nil {
			t.Errorf("%d bytes: %v", len(data), err)
		}
	}
}

func TestMaxRecordBoundsWhatIsRead(t *testing.T) {
	c := newCorpus(t, 4096, "{\"text\":\""+strings.Repeat("x", 8<<20)+"\"}")
	c.options.MaxRecord = 1 << 20
	s := c.open(t)
	for n := range s.Blocks() {
		if s.block(n) != 0 {
			continue
		}
		r, err := s.Reader(0, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(context.Background()); !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	}
	if reads, size := c.store.Reads(); size > 3<<20 || reads > 20 {
		t.Errorf("read %d bytes in %d ranges to find that a record is over 1 MiB", size, reads)
	}
}

func TestChangedFileIsNamed(t *testing.T) {
	c := newCorpus(t, 8, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n")
	r := c.reader(t, 0)
	if _, err := r.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.store.Set("mem://wiki/0.jsonl", []byte("{\"text\":\"a\"}\n{\"text\":\"B\"}\n"))
	_, err := r.Next(context.Background())
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "mem://wiki/0.jsonl") {
		t.Errorf("after a change: %v", err)
	}
}

func TestMaxEpochs(t *testing.T) {
	data := strings.Repeat("{\"text\":\"abcd\"}\n", 10)
	for epochs, want := range map[float64]int{0.5: 5, 1: 10, 2: 20, 2.5: 25, 2.01: 21} {
		c := newCorpus(t, 16, data)
		c.manifest.MaxEpochs = epochs
		r, count := c.reader(t, 0), 0
		var err error
		for err == nil {
			if _, err = r.Next(context.Background()); err == nil {
				count++
			}
		}
		if count != want || !errors.Is(err, ErrExhausted) ||
			!strings.Contains(err.Error(), `source "wiki"`) {
			t.Errorf("max_epochs %g: %d documents, want %d; %v", epochs, count, want, err)
		}
	}
}

func TestSourceWithoutDocumentsEnds(t *testing.T) {
	for _, data := range []string{"\n\n\n\n", strings.Repeat("{\"text\":\"\"}\n", 20), " "} {
		c := newCorpus(t, 3, data)
		_, err := c.reader(t, 0).Next(context.Background())
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "mem://wiki/0.jsonl") {
			t.Errorf("%.10q: %v", data, err)
		}
	}
}

// Blocks without documents are looked at once, not in every epoch by every slot.
func TestBarrenBlocksAreRemembered(t *testing.T) {
	c := newCorpus(t, 16, "{\"text\":\""+strings.Repeat("x", 16000)+"\"}\n")
	c.options.Slots = 4
	s := c.open(t)
	for slot := range 4 {
		r, err := s.Reader(slot, uint64(slot), 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := r.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reads, _ := c.store.Reads(); reads > 1100 {
		t.Errorf("%d range reads for 1001 blocks and 12 documents", reads)
	}
}

func TestSeekOutsideIsRefused(t *testing.T) {
	c := newCorpus(t, 16, strings.Repeat("{\"text\":\"abcd\"}\n", 10))
	c.options.Slots = 4
	s := c.open(t)
	for _, at := range []struct {
		slot   int
		number uint64
		offset int64
	}{{1, 2, 0}, {4, 4, 0}, {-1, 3, 0}, {1, 1, -1}, {1, 1, 16}} {
		if _, err := s.Reader(at.slot, at.number, at.offset); err == nil {
			t.Errorf("%+v: accepted", at)
		}
	}
	r, err := s.Reader(1, 1, 5) // inside a record
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Next(context.Background())
	if err == nil || !strings.Contains(err.Error(), "byte 21: no record starts") {
		t.Errorf("resumed inside a record: %v", err)
	}
}

func TestContextErrorIsNotFinal(t *testing.T) {
	c := newCorpus(t, 64, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n")
	r := c.reader(t, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if doc, err := r.Next(context.Background()); err != nil || doc.Text != "a" {
		t.Fatal(doc, err)
	}
}

func TestManifestThatDoesNotFitIsRefused(t *testing.T) {
	c := newCorpus(t, 16, strings.Repeat("{\"text\":\"abcd\"}\n", 10))
	c.manifest.Blocks++
	if _, err := Open(c.store, c.manifest, c.options); err == nil {
		t.Error("accepted a manifest with a wrong number of blocks")
	}
}
