package survey

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are those of a run over files of these contents, equally weighted.
func options(t *testing.T, contents ...string) Options {
	t.Helper()
	op, err := router.New(nil)
	must(t, err)
	tok, _, err := tokenize.Load(t.Context(), op, "../../examples/tokenizer")
	must(t, err)
	data := &pb.Data{}
	for i, content := range contents {
		path := filepath.Join(t.TempDir(), "docs.jsonl")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		data.Sources = append(data.Sources, &pb.Source{Name: fmt.Sprint("s", i), Uri: path, Weight: 1})
	}
	corpus, err := dataset.Pin(t.Context(), op, data, 2)
	must(t, err)
	return Options{Tokens: 64_000, Steps: 1000, Samples: 1, Config: dataset.Config{Corpus: corpus,
		SeqLen: 32, GlobalBatch: 2, DocMask: true, Seed: 1, Tokenizer: tok, Stores: op}}
}

func lines(n int, text func(i int) string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "{\"text\":%q}\n", text(i))
	}
	return out.String()
}

func TestCountsAreThoseOfTheTexts(t *testing.T) {
	en := lines(4000, func(i int) string { return fmt.Sprintf("The tree number %d stands.", i/2) })
	zh := lines(300, func(i int) string { return strings.Repeat("榕树成林", i%40+1) })
	o := options(t, en, zh)
	r, err := Run(t.Context(), o)
	must(t, err)
	if s := r.Sources[0]; s.Documents != 4000 || s.Duplicates != 2000 || s.Sampled || s.Broken != 0 ||
		s.Characters != s.Bytes || s.FileBytes != uint64(len(en)) {
		t.Errorf("English: %+v", s)
	}
	s := r.Sources[1]
	if s.Documents != 300 || s.Duplicates != 260 || s.Bytes != 3*s.Characters {
		t.Errorf("Chinese: %+v", s)
	}
	if len(s.Longest) != longest || s.Longest[0].Bytes != 40*12 || s.Longest[0].Tokens < 2 ||
		s.Longest[0].Place != fmt.Sprintf("byte %d", s.Longest[0].Record) {
		t.Errorf("longest: %+v", s.Longest)
	}
	var ids []int32
	tokens := uint64(0)
	for i := range 300 {
		ids = o.Config.Tokenizer.Encode(ids[:0], strings.Repeat("榕树成林", i%40+1))
		tokens += uint64(len(ids)) + 1
	}
	if s.Tokens != tokens || s.Epochs != 32_000/float64(tokens) {
		t.Errorf("%d tokens, %v epochs; want %d", s.Tokens, s.Epochs, tokens)
	}
	for _, s := range r.Sources {
		if s.Planned != 0.5 || s.Realised != 0.5 {
			t.Errorf("%s: planned %v, realised %v", s.Name, s.Planned, s.Realised)
		}
	}
	if len(r.Samples) != 2 || !strings.Contains(r.Samples[0].Text+r.Samples[1].Text, "榕") {
		t.Errorf("samples %+v", r.Samples)
	}
}

// The records behind a broken one are counted like those before it.
func TestBrokenRecordsAreCountedAndNamed(t *testing.T) {
	var file strings.Builder
	var at []int
	good := 0
	for i, bad := range []string{"{\"text\":\"\xff\"}", "{\"text\":7}", "no JSON",
		"{\"text\":\"" + strings.Repeat("long", 1000) + "\"}", "{\"body\":\"\"}", "{}", "{"} {
		file.WriteString(lines(100, func(k int) string { return fmt.Sprint("text ", i, k) }))
		at, good = append(at, file.Len()), good+100
		file.WriteString(bad + "\n")
	}
	file.WriteString(lines(100, func(k int) string { return fmt.Sprint("last ", k) }))
	o := options(t, file.String())
	o.Config.MaxRecord = 2000
	r, err := Run(t.Context(), o)
	must(t, err)
	s := r.Sources[0]
	if s.Documents != uint64(good+100) || s.Duplicates != 0 || s.Broken != 7 || s.BadUTF8 != 1 {
		t.Errorf("%+v", s)
	}
	if len(s.FirstBad) != firstBad {
		t.Fatalf("%d are named", len(s.FirstBad))
	}
	for i, text := range s.FirstBad {
		want := fmt.Sprintf("record at byte %d: %s", at[i], []string{"invalid UTF-8",
			`field "text" is a number`, "not a JSON object", "the record is longer",
			`no field "text"`}[i])
		if !strings.Contains(text, want) || !strings.Contains(text, "docs.jsonl") {
			t.Errorf("%s: want %s", text, want)
		}
	}
}

// A sample of the hashes must estimate what all of them would count.
func TestDuplicatesAreEstimatedBeyondTheLimit(t *testing.T) {
	h, other := newHashes(), newHashes()
	h.limit, other.limit = 2000, 2000
	const different, times = 20_000, 3
	for i := range different * times {
		text := fmt.Sprint("text ", i%different)
		if i%2 == 0 {
			h.add(text)
		} else {
			other.add(text)
		}
	}
	h.merge(other)
	n, sampled := h.duplicates()
	want := float64(different * (times - 1))
	if off := float64(n)/want - 1; !sampled || off < -0.1 || off > 0.1 {
		t.Errorf("%d duplicates (sampled: %v), want about %v", n, sampled, want)
	}
	if len(h.seen) > h.limit {
		t.Errorf("%d hashes kept", len(h.seen))
	}
}
