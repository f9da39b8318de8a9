package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func gz(tb fataler, data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// frames compresses each part to a frame of its own, and adds a seek table if asked to.
func frames(tb fataler, table bool, parts ...[]byte) []byte {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		tb.Fatal(err)
	}
	var out, entries []byte
	for _, part := range parts {
		before := len(out)
		out = enc.EncodeAll(part, out)
		if len(part) == 0 { // EncodeAll makes no frame of nothing
			continue
		}
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(out)-before))
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(part)))
	}
	if !table {
		return out
	}
	out = binary.LittleEndian.AppendUint32(out, seekHead)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)+9))
	out = append(out, entries...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)/8))
	out = append(out, 0)
	return binary.LittleEndian.AppendUint32(out, seekMark)
}

// columns writes texts to a nested column of parquet, some a row group.
func columns(tb fataler, group int, texts []string) []byte {
	type row struct {
		ID   int64
		Meta struct {
			Text string `parquet:"text,dict"`
		} `parquet:"meta,optional"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, parquet.PageBufferSize(256),
		parquet.Compression(&parquet.Zstd))
	for i, text := range texts {
		r := row{ID: int64(i)}
		r.Meta.Text = text
		if _, err := w.Write([]row{r}); err != nil {
			tb.Fatal(err)
		}
		if (i+1)%group == 0 {
			if err := w.Flush(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// pinned makes a corpus of files by name, cut as Pin cuts them.
func pinned(tb fataler, blockBytes uint64, m *pb.SourceManifest, files map[string][]byte) *corpus {
	c := &corpus{store: memstore.New(), options: Options{Seed: 7, Slots: 1}, window: MaxWindow}
	c.manifest = m
	m.Name, m.BlockBytes = "wiki", blockBytes
	if m.TextField == "" {
		m.TextField = "text"
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		uri := "mem://wiki/" + name
		c.store.Set(uri, files[name])
		info, err := c.store.Stat(context.Background(), uri)
		if err != nil {
			tb.Fatal(err)
		}
		f := &pb.PinnedFile{Uri: uri, Size: uint64(info.Size), Etag: info.ETag}
		if f.Format, f.Compression, err = Kind(uri, 0); err != nil {
			tb.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	if err := Cut(context.Background(), c.store, m); err != nil {
		tb.Fatal(err)
	}
	layout, err := NewLayout(blockBytes, m.Files)
	if err != nil {
		tb.Fatal(err)
	}
	m.Blocks = layout.Blocks()
	return c
}

// cutAnywhere cuts data into parts at random bytes.
func cutAnywhere(t *rapid.T, data []byte) [][]byte {
	var parts [][]byte
	for len(data) > 0 {
		n := rapid.IntRange(1, len(data)).Draw(t, "part")
		parts, data = append(parts, data[:n]), data[n:]
	}
	return parts
}

// written is a source in a drawn format that holds these texts.
func written(t *rapid.T, texts []string) *corpus {
	m := &pb.SourceManifest{}
	kind := rapid.SampledFrom([]string{"jsonl", "line", "paragraph", "parquet"}).Draw(t, "format")
	blockBytes := rapid.Uint64Range(1, 120).Draw(t, "block")
	var data []byte
	name := "a.txt"
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of line")
	switch kind {
	case "parquet":
		m.TextField = "meta.text"
		group := rapid.IntRange(1, 5).Draw(t, "rows a group")
		return pinned(t, blockBytes, m, map[string][]byte{"a.parquet": columns(t, group, texts)})
	case "jsonl":
		name = "a.jsonl"
		for _, text := range texts {
			raw, err := json.Marshal(map[string]string{"text": text})
			if err != nil {
				t.Fatal(err)
			}
			data = append(append(data, raw...), end...)
		}
	case "line":
		m.Document = pb.Document_LINE
		data = []byte(strings.Join(texts, rapid.SampledFrom([]string{end, end + end}).Draw(t, "gap")))
	case "paragraph":
		m.Document = pb.Document_PARAGRAPH
		for i, text := range texts {
			data = fmt.Appendf(data, "%s%s%s%s", text, end,
				strings.Repeat("second line"+end, i%3), strings.Repeat(" \t"+end, 1+i%2))
		}
	}
	switch rapid.SampledFrom([]string{"none", "gz", "zst", "frames", "table"}).Draw(t, "packed") {
	case "gz":
		name, data = name+".gz", gz(t, data)
	case "zst":
		name, data = name+".zst", frames(t, false, data)
	case "frames":
		name, data = name+".zst", frames(t, false, cutAnywhere(t, data)...)
	case "table":
		name, data = name+".zst", frames(t, true, cutAnywhere(t, data)...)
	}
	return pinned(t, blockBytes, m, map[string][]byte{name: data})
}

// Every record of every format comes once, and a reader that is opened at one of them goes on as
// the one before it did.
func TestI2EveryRecordOnceInEveryFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		for i := range rapid.IntRange(1, 15).Draw(t, "documents") {
			texts = append(texts, fmt.Sprintf("%d%s", i,
				strings.Repeat("界x", rapid.IntRange(0, 40).Draw(t, "length"))))
		}
		c := written(t, texts)
		c.options.Slots = rapid.IntRange(1, 3).Draw(t, "slots")
		c.window = rapid.Int64Range(1, 300).Draw(t, "window")
		c.rest = rapid.Bool().Draw(t, "rest")
		var got []string
		for _, doc := range c.epoch(t) {
			first, _, _ := strings.Cut(doc.Text, "\n")
			got = append(got, strings.TrimSuffix(first, "\r"))
			again, err := c.open(t).Reader(int(doc.Block)%c.options.Slots, doc.Block, doc.Offset)
			if err != nil {
				t.Fatal(err)
			}
			if same, err := again.Next(context.Background()); err != nil || same != doc {
				t.Fatalf("resumed: %+v, %v; want %+v", same, err, doc)
			}
		}
		slices.Sort(got)
		slices.Sort(texts)
		if !slices.Equal(got, texts) {
			t.Fatalf("got %q, want %q", got, texts)
		}
	})
}

func TestTextOfEachKindOfDocument(t *testing.T) {
	const data = "\n\none\ntwo\r\n \nthree\n\n\n"
	for document, want := range map[pb.Document][]string{
		pb.Document_FILE:      {data},
		pb.Document_LINE:      {"one", "two", "three"},
		pb.Document_PARAGRAPH: {"one\ntwo", "three"},
	} {
		for _, name := range []string{"a.txt", "a.txt.gz"} {
			content := []byte(data)
			if name != "a.txt" {
				content = gz(t, content)
			}
			c := pinned(t, 5, &pb.SourceManifest{Document: document}, map[string][]byte{name: content})
			var got []string
			c.options.Once = true
			r := c.reader(t, 0)
			for {
				doc, err := r.Next(context.Background())
				if errors.Is(err, ErrExhausted) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, doc.Text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v of %s: %q, want %q", document, name, got, want)
			}
		}
	}
}

func TestNormalizeAndInvalidUTF8(t *testing.T) {
	data := []byte("{\"text\":\"Ａe\u0301\\r\\nﬁ\xff\xfe!\"}\n")
	m := &pb.SourceManifest{Normalize: []string{"nfc", "lf"}, InvalidUtf8: pb.InvalidUtf8_REPLACE}
	c := pinned(t, 1000, m, map[string][]byte{"a.jsonl": data})
	doc, err := c.reader(t, 0).Next(context.Background())
	if want := "Ａé\nﬁ\uFFFD!"; err != nil || doc.Text != want {
		t.Errorf("nfc, lf: %q, %v; want %q", doc.Text, err, want)
	}
	m.Normalize = []string{"nfkc"}
	doc, err = c.reader(t, 0).Next(context.Background())
	if want := "Aé\r\nfi\uFFFD!"; err != nil || doc.Text != want {
		t.Errorf("nfkc: %q, %v; want %q", doc.Text, err, want)
	}
	m.Normalize = []string{"nfx"}
	_, err = Open(c.store, m, c.options)
	if err == nil || !strings.Contains(err.Error(), "nfkd, lf") {
		t.Errorf("an unknown step: %v", err)
	}
	m.Normalize, m.InvalidUtf8 = nil, pb.InvalidUtf8_REFUSE
	if _, err := c.reader(t, 0).Next(context.Background()); !errors.Is(err, ErrInvalid) {
		t.Errorf("invalid UTF-8: %v", err)
	}
}

func TestTextFieldByPath(t *testing.T) {
	for _, c := range []struct{ field, line, want string }{
		{"meta.body.text", `{"text":"no","meta":{"a":[1],"body":{"text":"yes"}},"body":{}}`, "yes"},
		{`a\.b`, `{"a":{"b":"no"},"a.b":"yes"}`, "yes"},
		{"a.b", `{"a.b":"no","a":{"b":"yes"}}`, "yes"},
	} {
		if got, err := ParseRecord([]byte(c.line), c.field); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.field, got, err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{`{"a":{"x":1,"y":2}}`, `no field "a.b" (byte 5)`},
		{`{"a":{"x":1,"y":2}}`, `("a" has x, y)`},
		{`{"x":1}`, `no field "a" (byte 0)`},
		{`{"a":"text"}`, `field "a" is a string, not an object`},
		{`{"a":{"b":1}}`, `field "a.b" is a number, not a string`},
		{`{"a":{"b":"1"},"a":{"b":"2"}}`, `field "a" appears twice`},
		{`{"a":{"b":"1","b":"2"}}`, `field "a.b" appears twice`},
	} {
		_, err := ParseRecord([]byte(c.line), "a.b")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.line, err, c.want)
		}
	}
}
