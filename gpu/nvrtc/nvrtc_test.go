package nvrtc

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/fake"
)

const good = "struct args { long y; };\nKERNEL(nothing, 32, struct args) { (void)a; }\n"

func search(t *testing.T, o fake.Options) gpu.Search {
	t.Helper()
	return gpu.Search{Named: []string{fake.Build(t, o)}}
}

func supply(t *testing.T, s gpu.Search, cache string, ahead ...string) *Supply {
	t.Helper()
	out, err := NewSupply(s, Options{Cache: cache, Ahead: append([]string{}, ahead...)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLoadSaysWhatIsMissing(t *testing.T) {
	_, err := Load(search(t, fake.Options{Without: []string{"nvrtcGetCUBIN"}}))
	if err == nil || !strings.Contains(err.Error(), "lacks nvrtcGetCUBIN") {
		t.Errorf("error %v", err)
	}
	c, err := Load(search(t, fake.Options{}))
	if err != nil || c.Version() != 12990 || filepath.Base(c.Path()) != "libnvrtc.so.12" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestSourceThatDoesNotCompile(t *testing.T) {
	c, err := Load(search(t, fake.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"KERNEL(broken, 32, struct none": "NVRTC_ERROR_COMPILATION (6)\nkernels.c:1:",
		"a\x00b":                         "byte 0",
	} {
		if _, err := c.Compile(Source{"broken.cu", text}, 90); err == nil ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "broken.cu") {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestCache: what was compiled once needs no NVRTC but for its version, and
// what is damaged is compiled again.
func TestCache(t *testing.T) {
	s, dir := search(t, fake.Options{}), t.TempDir()
	source := Source{"good.cu", good}
	first, err := supply(t, s, dir).Cubin(source, 90)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the cache has %v, %v", files, err)
	}
	// Another payload in a file that is whole: the cache is what is read.
	if err := writeFile(files[0], []byte("from the cache")); err != nil {
		t.Fatal(err)
	}
	if b, err := supply(t, s, dir).Cubin(source, 90); err != nil || string(b) != "from the cache" {
		t.Errorf("%q, %v", b, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": {}, "short": whole[:len(magic)+5],
		"other format": []byte("something else"), "a bit": flipped(whole), "longer": append(whole, 0)} {
		if err := os.WriteFile(files[0], b, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := supply(t, s, dir).Cubin(source, 90)
		if err != nil || !bytes.Equal(got[:64], first[:64]) {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
		if b, err := readFile(files[0]); err != nil || !bytes.Equal(b, got) {
			t.Errorf("%s: not replaced: %v", name, err)
		}
	}
}

func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}

func TestEveryDependencyIsInTheName(t *testing.T) {
	s := Source{"a.cu", "text"}
	seen := map[string]bool{}
	for _, name := range []string{cacheName(s, 90, 12080), cacheName(s, 80, 12080),
		cacheName(s, 90, 13000), cacheName(Source{"a.cu", "text "}, 90, 12080)} {
		if seen[name] {
			t.Errorf("two things are called %s", name)
		}
		seen[name] = true
	}
	if cacheName(Source{"b.cu", "text"}, 90, 12080) != cacheName(s, 90, 12080) {
		t.Error("the name of a source changes its cubin")
	}
}

func TestAheadOfTime(t *testing.T) {
	c, err := Load(search(t, fake.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	source, ahead := Source{"good.cu", good}, t.TempDir()
	path, err := Write(ahead, c, source, 90)
	if err != nil || filepath.Dir(path) != ahead {
		t.Fatalf("%s, %v", path, err)
	}
	none := gpu.Search{Named: []string{t.TempDir()}}
	if b, err := supply(t, none, t.TempDir(), t.TempDir(), ahead).Cubin(source, 90); err != nil ||
		len(b) == 0 {
		t.Errorf("made ahead of time: %v", err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := supply(t, none, t.TempDir(), ahead).Cubin(source, 90); !errors.Is(err, errDamaged) ||
		!strings.Contains(err.Error(), "make cubins") {
		t.Errorf("damaged: %v", err)
	}
}
