package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize/sentencepiece"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

// ziya copies the tokenizers of examples/ziya to a folder of its own.
func ziya(t *testing.T) (op store.Opener, base, chinese string) {
	t.Helper()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"base.model": "base/tokenizer.model",
		"chinese.model": "chinese.model"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", "ziya", from))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return op, filepath.Join(dir, "base"), filepath.Join(dir, "chinese.model")
}

func TestLoadGrown(t *testing.T) {
	op, base, chinese := ziya(t)
	grown, pin, err := LoadGrown(t.Context(), op, base, chinese)
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := Load(t.Context(), op, base)
	if err != nil {
		t.Fatal(err)
	}
	if int(pin.Base.VocabSize) != old.VocabSize() || int(pin.VocabSize) != grown.VocabSize() ||
		pin.VocabSize < pin.Base.VocabSize+1000 || pin.EosId != pin.Base.EosId {
		t.Fatalf("pin %v", pin)
	}
	const text = "这棵榕树 is old."
	if a, b := len(old.Encode(nil, text)), len(grown.Encode(nil, text)); b >= a {
		t.Errorf("%d ids before, %d after", a, b)
	}
	fresh, err := NewTokens(old, grown)
	if err != nil {
		t.Fatal(err)
	}
	// What a new token was made of must spell it.
	for i, ids := range fresh {
		piece := grown.(*sentencepiece.Tokenizer).Piece(int32(old.VocabSize() + i))
		want := strings.ReplaceAll(piece, "\u2581", " ")
		got := string(old.Decode(append([]int32{ids[0]}, ids...)))[len(old.Decode(ids[:1])):]
		if len(ids) == 0 || !strings.HasSuffix(got, strings.TrimLeft(want, " ")) {
			t.Fatalf("%q was made of %q", piece, got)
		}
	}
	again, err := LoadPinned(t.Context(), op, pin)
	if err != nil || again.VocabSize() != grown.VocabSize() {
		t.Fatalf("pinned: %v", err)
	}
	files, err := GrownFiles(t.Context(), op, pin.Base.Uri, pin.Uri)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := sentencepiece.Parse(files[modelFile])
	if err != nil || exported.VocabSize() != grown.VocabSize() {
		t.Errorf("the export has %d pieces: %v", exported.VocabSize(), err)
	}
	if err := os.WriteFile(chinese, []byte("榕\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPinned(t.Context(), op, pin); !errors.Is(err, store.ErrChanged) {
		t.Errorf("error %v of a changed file", err)
	}
}

func TestGrownTokenizersThatMoveTokensAreRefused(t *testing.T) {
	op, base, _ := ziya(t)
	examples := filepath.Join("..", "..", "examples", "tokenizer")
	for _, c := range []struct{ base, grown, want string }{
		{examples, "testdata/qwen2.json", "tokens, the base"},
		{"testdata/qwen2.json", examples, "token 1 is"},
		{base, examples, "tokenizer.model: not found"},
	} {
		_, _, err := LoadGrown(t.Context(), op, c.base, c.grown)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s grown to %s: error %v, want %q", c.base, c.grown, err, c.want)
		}
	}
}
