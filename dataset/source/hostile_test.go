package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// drain reads all documents of a file, as the first pass over it, and returns the error that ends
// it; nil at the end.
func drain(tb fataler, name string, data []byte, document pb.Document) error {
	c := &corpus{store: memstore.New(), options: Options{Slots: 1, Once: true, MaxRecord: 1 << 20},
		window: MaxWindow}
	c.manifest = &pb.SourceManifest{Name: "wiki", TextField: "text", BlockBytes: 4096,
		Document: document}
	uri := "mem://wiki/" + name
	c.store.Set(uri, data)
	f := &pb.PinnedFile{Uri: uri, Size: uint64(len(data))}
	var err error
	if f.Format, f.Compression, err = Kind(uri, 0); err != nil {
		tb.Fatal(err)
	}
	c.manifest.Files = append(c.manifest.Files, f)
	if err := Cut(context.Background(), c.store, c.manifest); err != nil {
		return err
	}
	layout, err := NewLayout(4096, c.manifest.Files)
	if err != nil {
		tb.Fatal(err)
	}
	if c.manifest.Blocks = layout.Blocks(); c.manifest.Blocks == 0 {
		return nil
	}
	r := c.reader(tb, 0)
	defer r.Close()
	for err == nil {
		_, err = r.Next(context.Background())
	}
	if errors.Is(err, ErrExhausted) {
		return nil
	}
	return err
}

// classified: what is wrong with a file's bytes is an ErrInvalid, or a problem while it is pinned.
func classified(err error) bool {
	var p *problem
	return errors.Is(err, ErrInvalid) || errors.As(err, &p)
}

func TestI13_DamagedFilesAreNamed(t *testing.T) {
	lines := []byte(strings.Repeat("{\"text\":\"the quick brown fox\"}\n", 3000))
	texts := strings.Split(strings.Repeat("the quick brown fox\n", 50), "\n")
	zipped, packed := gz(t, lines), frames(t, false, lines[:4000], lines[4000:])
	indexed, table := frames(t, true, lines[:4000], lines[4000:]), columns(t, 20, texts)
	flip := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[(at+len(data))%len(data)] ^= 0x55
		return data
	}
	plain := bytes.ReplaceAll(table, []byte("PAR1"), []byte("nope"))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"cut.jsonl.gz", zipped[:len(zipped)-9], "the gzip data ends too early"},
		{"sum.jsonl.gz", flip(zipped, -5), "the gzip data is damaged"},
		{"none.jsonl.gz", lines, "the gzip data is damaged"},
		{"cut.jsonl.zst", packed[:len(packed)-9],
			fmt.Sprintf("the zstd data ends too early (byte %d)", len(packed)-9)},
		{"text.jsonl.gz", gz(t, append(bytes.Clone(lines[:800]), 0xff)), "is damaged: gzip -t tells"},
		{"json.jsonl.zst", frames(t, false, lines[:800], []byte("nope")), "is damaged: zstd -t tells"},
		{"sum.jsonl.zst", flip(packed, -1), "the zstd data is damaged"},
		{"none.jsonl.zst", lines, "the zstd data is damaged"},
		{"table.jsonl.zst", flip(indexed, -15), "the seek table at its end is damaged"},
		{"count.jsonl.zst", flip(indexed, -9), "the seek table at its end is damaged"},
		{"cut.parquet", table[:len(table)-3], "the file is not parquet"},
		{"plain.parquet", plain, "the file is not parquet"},
		{"short.parquet", []byte("PAR1"), "the file is not parquet: it is too short"},
		{"column.parquet", table, `no column "text"`},
	} {
		err := drain(t, c.name, c.data, 0)
		if err == nil || !classified(err) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "mem://wiki/"+c.name) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A bomb is read in windows, and refused once a record is longer than max_record.
func TestI13_BombsTakeNoMemory(t *testing.T) {
	const size = 128 << 20
	bomb := func(filler string) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		chunk := []byte(strings.Repeat(filler, 1<<20))
		for range size >> 20 {
			if _, err := w.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	zeros, blanks := bomb("\x00"), bomb("\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := drain(t, "bomb.jsonl.zst", zeros, 0); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "longer than max_record") {
		t.Error(err)
	}
	if err := drain(t, "bomb.txt.zst", zeros, pb.Document_FILE); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "longer than max_record") {
		t.Error(err)
	}
	if err := drain(t, "blank.txt.zst", blanks, pb.Document_PARAGRAPH); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "not one document") {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("%d MiB were allocated to refuse bombs of %d MiB", used>>20, size>>20)
	}
}

// What the metadata claim is not believed.
func TestI13_ParquetThatClaimsMuch(t *testing.T) {
	list := []byte{0x29, 0xfc} // field 2, a list of structs
	list = binary.AppendUvarint(list, 1<<30)
	huge := append([]byte("PAR1"), list...)
	huge = binary.LittleEndian.AppendUint32(huge, uint32(len(list)))
	huge = append(huge, "PAR1"...)
	if err := drain(t, "huge.parquet", huge, 0); err == nil || !classified(err) {
		t.Error(err)
	}
}

func FuzzThrift(f *testing.F) {
	data := columns(f, 2, []string{"a", "b", "c"})
	size := binary.LittleEndian.Uint32(data[len(data)-8:])
	f.Add(data[len(data)-8-int(size) : len(data)-8])
	f.Fuzz(func(t *testing.T, data []byte) {
		walk := newThrift(data)
		if ok := walk.structure(); walk.i > len(data) || ok && walk.short {
			t.Fatalf("walked to %d of %d", walk.i, len(data))
		}
	})
}

func FuzzParquet(f *testing.F) {
	f.Add(columns(f, 2, []string{"a", "b", "c"}))
	f.Add(columns(f, 50, strings.Split(strings.Repeat("text ", 200), " ")))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "meta.text", "a.parquet", data) })
}

func FuzzZstd(f *testing.F) {
	f.Add(frames(f, true, []byte("{\"text\":\"a\"}\n{\"te"), []byte("xt\":\"b\"}\n")))
	f.Add(frames(f, false, []byte("{\"text\":\"a\"}\n"), []byte("{\"text\":\"b\"}\n")))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "text", "a.jsonl.zst", data) })
}

func FuzzGzip(f *testing.F) {
	f.Add(gz(f, []byte("{\"text\":\"a\"}\n{\"text\":\"b\"}\n")))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "text", "a.jsonl.gz", data) })
}

// fuzzFile reads a file of any bytes to its end: no panic, and what is wrong is named.
func fuzzFile(t *testing.T, field, name string, data []byte) {
	mem := memstore.New()
	uri := "mem://wiki/" + name
	mem.Set(uri, data)
	pinned := &pb.PinnedFile{Uri: uri, Size: uint64(len(data))}
	pinned.Format, pinned.Compression, _ = Kind(uri, 0)
	m := &pb.SourceManifest{Name: "wiki", TextField: field, BlockBytes: 16,
		Files: []*pb.PinnedFile{pinned}}
	if err := Cut(context.Background(), mem, m); err != nil {
		if !classified(err) {
			t.Fatal(err)
		}
		return
	}
	layout, err := NewLayout(m.BlockBytes, m.Files)
	if err != nil || layout.Blocks() == 0 {
		return
	}
	m.Blocks = layout.Blocks()
	s, err := Open(mem, m, Options{Slots: 1, Once: true, MaxRecord: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	s.window = 64
	r, err := s.Reader(0, 0, 0)
	for n := 0; err == nil && n < 1000; n++ {
		_, err = r.Next(context.Background())
	}
	if err != nil && !errors.Is(err, ErrExhausted) && !classified(err) {
		t.Fatal(err)
	}
	r.Close()
}

// With somebody to tell, a reader goes on behind what it cannot read: a record, or where that is
// damaged the rest of its block.
func TestReadersGoOnBehindBadRecords(t *testing.T) {
	good, lost := "{\"text\":\"good\"}\n", strings.Repeat("x", 99)+"\n"
	texts := []string{"one", "two", "three", "four", "five", "six"}
	table := columns(t, 2, texts) // three row groups
	damaged := bytes.Clone(table)
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd} // of zstd: the first group's numbers, then its texts
	numbers := bytes.Index(damaged, magic) + 1
	damaged[numbers+bytes.Index(damaged[numbers:], magic)] ^= 0xff
	zipped := gz(t, []byte(strings.Repeat(good, 100)))
	for _, c := range []struct {
		name     string
		data     []byte
		document pb.Document
		docs     int
		bad      []string
	}{
		{"a.jsonl", []byte(good + lost + good + "{}\n" + lost + "\xff\n" + good), 0, 3,
			[]string{"longer than", "no field", "longer than", "invalid UTF-8"}},
		{"end.jsonl", []byte(good + lost), 0, 1, []string{"longer than"}},
		{"open.jsonl", []byte(good + lost[:99]), 0, 1, []string{"longer than"}},
		{"cut.jsonl.gz", zipped[:len(zipped)-9], 0, 100, []string{"ends too early"}},
		{"a.parquet", damaged, 0, 4, []string{"damaged"}},
		{"whole.txt", []byte(lost), pb.Document_FILE, 0, []string{"longer than"}},
		{"lines.txt", []byte("a\n" + lost + "b\n"), pb.Document_LINE, 2, []string{"longer than"}},
	} {
		for _, window := range []int64{7, MaxWindow} {
			m := &pb.SourceManifest{Document: c.document}
			if c.name == "a.parquet" {
				m.TextField = "meta.text"
			}
			corpus := pinned(t, 1<<20, m, map[string][]byte{c.name: c.data})
			var bad []string
			corpus.options.MaxRecord, corpus.window = 64, window
			corpus.options.Once = true
			corpus.options.Bad = func(e *RecordError) { bad = append(bad, e.Error()) }
			docs := corpus.epoch(t)
			if len(docs) != c.docs || len(bad) != len(c.bad) {
				t.Errorf("%s: %d documents, want %d; %q", c.name, len(docs), c.docs, bad)
				continue
			}
			for i, want := range c.bad {
				if !strings.Contains(bad[i], want) {
					t.Errorf("%s: %s, want %s", c.name, bad[i], want)
				}
			}
		}
	}
}

// The seek table is held against the frames, as places in the text are counted by it.
func TestI13_ASeekTableThatLies(t *testing.T) {
	part := strings.Repeat("{\"text\":\"the quick brown fox\"}\n", 200)
	data := frames(t, true, []byte(part), []byte(part), []byte(part))
	c := pinned(t, 1<<20, &pb.SourceManifest{}, map[string][]byte{"a.jsonl.zst": data})
	c.window = 64
	offset := int64(2*len(part) - len(part)/200)
	r, err := c.open(t).Reader(0, 0, offset)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := r.Next(context.Background()); err != nil || doc.Offset != offset {
		t.Errorf("an honest table: %+v, %v", doc, err)
	}
	lie := bytes.Clone(data)
	binary.LittleEndian.PutUint32(lie[len(lie)-9-2*8+4:], uint32(len(part)-1)) // of the second frame
	c = pinned(t, 1<<20, &pb.SourceManifest{}, map[string][]byte{"a.jsonl.zst": lie})
	c.window = 64
	if r, err = c.open(t).Reader(0, 0, offset); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(context.Background()); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "the seek table at its end") {
		t.Errorf("a table that lies: %v", err)
	}
}
