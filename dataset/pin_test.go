package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

func TestSharesSumToOneAndAreNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.001, 1000), 1, 20).Draw(t, "weights")
		var sources []*pb.Source
		total, sum := 0.0, uint64(0)
		for i, w := range weights {
			sources = append(sources, &pb.Source{Name: fmt.Sprint(i), Weight: w})
			total += w
		}
		shares, err := sharesOf(sources)
		if err != nil {
			t.Fatal(err)
		}
		for i, share := range shares {
			sum += share
			if off := math.Abs(float64(share) - weights[i]/total*mix.One); off > 1.001 {
				t.Fatalf("share %d is %g units off", i, off)
			}
		}
		if sum != mix.One {
			t.Fatalf("shares sum to %d", sum)
		}
	})
	third := []*pb.Source{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1}}
	shares, err := sharesOf(third)
	want := []uint64{1431655766, 1431655765, 1431655765}
	if err != nil || !slices.Equal(shares, want) {
		t.Errorf("thirds: %v, %v; want %v", shares, err, want)
	}
}

func TestBadWeightsAreRefused(t *testing.T) {
	for _, weights := range [][]float64{
		{}, {0}, {-1, 2}, {math.NaN()}, {math.Inf(1), 1}, {1, 1e-12}, {1e300, 1e-300},
	} {
		var sources []*pb.Source
		for i, w := range weights {
			sources = append(sources, &pb.Source{Name: fmt.Sprint(i), Weight: w})
		}
		if _, err := sharesOf(sources); err == nil {
			t.Errorf("%v: accepted", weights)
		}
	}
	twins := []*pb.Source{{Name: "a", Weight: 1}, {Name: "a", Weight: 1}}
	if _, err := sharesOf(twins); err == nil || !strings.Contains(err.Error(), `named "a"`) {
		t.Errorf("two sources of one name: %v", err)
	}
}

func TestPinListsSizesAndBlocks(t *testing.T) {
	mem := memstore.New()
	for _, key := range []string{"b.jsonl", "a.jsonl", "x/c.jsonl", "a.txt", "ab.jsonl"} {
		mem.Set("mem://zh/"+key, []byte(strings.Repeat("x", 20000)))
	}
	data := &pb.Data{Sources: []*pb.Source{
		{Name: "all", Uri: "mem://zh/*.jsonl", Weight: 3, Lang: "zh", MaxEpochs: 2.5},
		{Name: "one", Uri: "mem://zh/?.jsonl", Weight: 1, TextField: "body"},
		{Name: "plain", Uri: "mem://zh/a.txt", Weight: 4, Document: pb.Document_LINE},
	}}
	corpus, err := Pin(context.Background(), mem, data, 2)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, m := range corpus.Sources {
		fmt.Fprintf(&out, "%s %s %s %d %d %d %g", m.Name, m.Lang, m.TextField, m.WeightQ32,
			m.BlockBytes, m.Blocks, m.MaxEpochs)
		for _, f := range m.Files {
			fmt.Fprintf(&out, " %s:%d", f.Uri, f.Size)
			if len(f.Etag) != 32 {
				t.Errorf("%s has etag %q", f.Uri, f.Etag)
			}
		}
		out.WriteByte('\n')
	}
	want := `all zh text 1610612736 4096 15 2.5 ` +
		`mem://zh/a.jsonl:20000 mem://zh/ab.jsonl:20000 mem://zh/b.jsonl:20000
one  body 536870912 4096 10 0 mem://zh/a.jsonl:20000 mem://zh/b.jsonl:20000
plain  text 2147483648 4096 5 0 mem://zh/a.txt:20000
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestPinNamesWhatIsWrongOfAllSources(t *testing.T) {
	mem := memstore.New()
	mem.Set("mem://small/a.jsonl", []byte(strings.Repeat("x", 9000)))
	mem.Set("mem://empty/a.jsonl", nil)
	mem.Set("mem://packed/a.jsonl.zst", []byte("x"))
	mem.Set("mem://packed/a.csv", []byte("x"))
	data := &pb.Data{}
	for name, uri := range map[string]string{
		"small": "mem://small/a.jsonl", "empty": "mem://empty/*.jsonl", "gone": "mem://gone/a.jsonl",
		"packed": "mem://packed/*", "csv": "mem://packed/a.csv",
		"nomatch": "mem://small/*.txt", "nouri": "", "stars": "mem://small/a**.jsonl",
	} {
		data.Sources = append(data.Sources, &pb.Source{Name: name, Uri: uri, Weight: 1})
	}
	_, err := Pin(context.Background(), mem, data, 4)
	for _, want := range []string{
		`pin source "empty": mem://empty/*.jsonl: no text in it (files: 1, all empty): check the uri`,
		`pin source "gone": stat mem://gone/a.jsonl: not found: check the uri`,
		`pin source "csv": mem://packed/a.csv: .csv files are not read: write it as .jsonl`,
		`pin source "packed": mem://packed/a.csv: .csv files`,
		`pin source "nomatch": mem://small/*.txt: not found: no file matches`,
		`pin source "nouri": uri is empty`,
		`pin source "stars": mem://small/a**.jsonl: ** must be an element of its own`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s\nin: %v", want, err)
		}
	}
	if !errors.Is(err, store.ErrNotFound) {
		t.Error("the errors lost their kinds")
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*.jsonl", "a.jsonl", true}, {"*.jsonl", "a.jsonl.bak", false},
		{"a?c", "abc", true}, {"a?c", "a中c", true}, {"a?c", "ac", false}, {"[a]*", "[a]b", true},
		{"[a]*", "ab", false}, {"*a*b", "xaybab", true}, {"*a*b", "xayba", false}, {"a**", "a", true},
	} {
		if got := matchElement(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"a/*/c.txt", "a/b/c.txt", true}, {"a/*/c.txt", "a/b/b/c.txt", false},
		{"a/**/c.txt", "a/c.txt", true}, {"a/**/c.txt", "a/b/b/c.txt", true},
		{"a/**", "a/b/c", true}, {"a/**", "a", true}, {"a/**", "b/a", false}, {"**", "x/y", true},
		{"**/b/**/d", "a/b/c/b/d", true}, {"**/b/**/d", "a/d", false}, {"a*/b", "ax/b", true},
	} {
		if got := Matches(c.pattern, c.path); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.path, got)
		}
	}
}

func TestPatternsStayInTheirFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"in/a/x.jsonl", "in/b/y.jsonl", "in/z.jsonl", "out/o.jsonl"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text("f", repeat(100, 50, 200)...)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	pin := func(pattern string) (*pb.Corpus, error) {
		return Pin(context.Background(), files, &pb.Data{Sources: []*pb.Source{
			{Name: "f", Uri: "file://" + dir + pattern, Weight: 1}}}, 2)
	}
	for pattern, want := range map[string]int{
		"/in/**/*.jsonl": 3, "/in/*/*.jsonl": 2, "/*/z.jsonl": 1,
	} {
		c, err := pin(pattern)
		if err != nil || len(c.Sources[0].Files) != want {
			t.Errorf("%s: %v, %v", pattern, c, err)
		}
	}
	if _, err := pin("/in/*/../z.jsonl"); err == nil || !strings.Contains(err.Error(), "..") {
		t.Errorf("a pattern with ..: %v", err)
	}
	err = os.Symlink(filepath.Join(dir, "in/z.jsonl"), filepath.Join(dir, "in/a/w.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := pin("/in/**/*.jsonl"); err != nil || len(c.Sources[0].Files) != 4 {
		t.Errorf("a link inside of the folder: %v, %v", c, err)
	}
	if err := os.Symlink("../out/o.jsonl", filepath.Join(dir, "in/l.jsonl")); err != nil {
		t.Fatal(err)
	}
	if _, err := pin("/in/**/*.jsonl"); err == nil ||
		!strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "in/l.jsonl") {
		t.Errorf("a link out of the folder: %v", err)
	}
}

// The same over real files: pinned, streamed, and refused when one changes.
func TestFilesArePinnedByHash(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		name := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
		if err := os.WriteFile(name, []byte(text("f", repeat(100, 50, 200)...)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	data := &pb.Data{Sources: []*pb.Source{{Name: "f", Uri: "file://" + dir + "/*.jsonl", Weight: 1}}}
	corpus, err := Pin(context.Background(), files, data, 4)
	if err != nil {
		t.Fatal(err)
	}
	if f := corpus.Sources[0].Files; len(f) != 3 || !strings.HasPrefix(f[2].Etag, "sha256:") {
		t.Fatalf("%v", f)
	}
	cfg := Config{Corpus: corpus, SeqLen: 64, GlobalBatch: 4, Tokenizer: bytesTokenizer{},
		Stores: files, Hi: 4}
	s := mustOpen(t, cfg, nil)
	for range 20 {
		mustNext(t, s)
	}
	changed := strings.Replace(text("f", repeat(100, 50, 200)...), "x", "y", 1)
	if err := os.WriteFile(filepath.Join(dir, "1.jsonl"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg, nil)
	for err == nil {
		_, err = s.Next(context.Background())
	}
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), dir+"/1.jsonl") {
		t.Error(err)
	}
}

// What has too few blocks with documents for every slot is staged: a small source, one that is one
// compressed file, and one of long documents.
func TestPinStages(t *testing.T) {
	mem := memstore.New()
	line := func(n int) string { return `{"text":"` + strings.Repeat("x", n) + "\"}\n" }
	mem.Set("mem://c/small.jsonl", []byte(strings.Repeat(line(80), 100)))
	mem.Set("mem://c/many.jsonl", []byte(strings.Repeat(line(80), 1000)))
	mem.Set("mem://c/long.jsonl", []byte(strings.Repeat(line(40<<10), 3)+line(10)))
	mem.Set("mem://c/huge.jsonl", []byte(strings.Repeat(line(12<<20), 3)))
	mem.Set("mem://c/broken.jsonl", []byte(line(3)+strings.Repeat("x\n", 20000)))
	for name, want := range map[string]bool{
		"small": true, "many": false, "long": true, "huge": true, "broken": false,
	} {
		uri := "mem://c/" + name + ".jsonl"
		data := &pb.Data{Sources: []*pb.Source{{Name: name, Uri: uri, Weight: 1}}}
		corpus, err := Pin(t.Context(), mem, data, 8)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := corpus.Sources[0].Staged; got != want {
			t.Errorf("%s: staged is %v (%d blocks)", name, got, corpus.Sources[0].Blocks)
		}
	}
}
