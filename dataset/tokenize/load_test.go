package tokenize

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/store"
)

// memory is a store of one folder per URI prefix "mem://".
type memory map[string][]byte

var (
	_ store.Opener = memory{}
	_ store.Bucket = memory{}
)

func (m memory) Open(uri string) (store.Bucket, string, error) {
	key, ok := strings.CutPrefix(uri, "mem://")
	if !ok {
		return nil, "", errors.New("not a mem:// URI")
	}
	return m, key, nil
}

func (m memory) Put(context.Context, string, io.ReadSeeker, int64, bool) (store.Info, error) {
	return store.Info{}, errors.ErrUnsupported
}

func (m memory) ReadRange(_ context.Context, key string, off int64, p []byte, etag string) error {
	if etag != "" && etag != digest(m[key], nil) {
		return store.ErrChanged
	}
	copy(p, m[key][off:])
	return nil
}

func (m memory) Stat(_ context.Context, key string) (store.Info, error) {
	data, ok := m[key]
	if !ok {
		return store.Info{}, store.ErrNotFound
	}
	return store.Info{Key: key, Size: int64(len(data)), ETag: digest(data, nil)}, nil
}

func (m memory) List(context.Context, string) ([]store.Info, error) {
	return nil, errors.ErrUnsupported
}

func (m memory) Delete(context.Context, string) error { return errors.ErrUnsupported }

func TestLoadAndPin(t *testing.T) {
	ctx := context.Background()
	m := memory{
		"models/seed/tokenizer.json":        testFile(t, "llama3.json"),
		"models/seed/tokenizer_config.json": []byte(`{"eos_token": "<|endoftext|>"}`),
	}
	for _, uri := range []string{"mem://models/seed", "mem://models/seed/",
		"mem://models/seed/tokenizer.json"} {
		_, pin, err := Load(ctx, m, uri)
		if err != nil {
			t.Fatal(err)
		}
		if pin.Uri != "mem://models/seed/tokenizer.json" || pin.VocabSize != 400 ||
			pin.EosId != 0 || pin.BosId != -1 {
			t.Errorf("%s: pin %v", uri, pin)
		}
		if _, err := LoadPinned(ctx, m, pin); err != nil {
			t.Error(err)
		}
	}
	_, pin, err := Load(ctx, m, "mem://models/seed")
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string][]byte{
		"changed": []byte(`{"eos_token": "<|endoftext|>" }`), "gone": nil,
	} {
		changed := maps.Clone(m)
		delete(changed, "models/seed/tokenizer_config.json")
		if config != nil {
			changed["models/seed/tokenizer_config.json"] = config
		}
		_, err = LoadPinned(ctx, changed, pin)
		if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "models/seed") {
			t.Errorf("%s config: error %v, want ErrChanged with the URI", name, err)
		}
	}
}

func TestLoadErrorsNameTheFile(t *testing.T) {
	ctx := context.Background()
	_, _, err := Load(ctx, memory{}, "mem://models/none")
	if !errors.Is(err, store.ErrNotFound) ||
		!strings.Contains(err.Error(), "mem://models/none has no tokenizer.json, vocab.json or "+
			"tokenizer.model") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want not found in one line, with the URI", err)
	}
	_, _, err = Load(ctx, memory{"x/tokenizer.json": []byte("{")}, "mem://x")
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "mem://x/tokenizer.json") {
		t.Errorf("error %v, want invalid with the URI", err)
	}
}

func TestFiles(t *testing.T) {
	m := memory{
		"x/tokenizer.json":          []byte("a"),
		"x/tokenizer_config.json":   []byte("b"),
		"x/special_tokens_map.json": []byte("c"),
		"x/model.safetensors":       []byte("d"),
		"y/tokenizer.json":          []byte("e"),
	}
	for uri, want := range map[string][]string{
		"mem://x": {"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"},
		"mem://y": {"tokenizer.json"},
	} {
		files, err := Files(context.Background(), m, uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("%s: files %v, want %v", uri, got, want)
		}
	}
	if _, err := Files(context.Background(), m, "mem://z"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error %v, want not found", err)
	}
}
