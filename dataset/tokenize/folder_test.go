package tokenize

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/store"
)

// folderOf writes a tokenizer.json of testdata as a folder of the older kind.
func folderOf(t *testing.T, name, config string) memory {
	t.Helper()
	var file struct {
		Model struct {
			Vocab  json.RawMessage
			Merges mergeList
		}
	}
	if err := json.Unmarshal(testFile(t, name+".json"), &file); err != nil {
		t.Fatal(err)
	}
	merges := "#version: 0.2\n"
	for _, pair := range file.Model.Merges {
		merges += pair[0] + " " + pair[1] + "\n"
	}
	return memory{"x/vocab.json": file.Model.Vocab, "x/merges.txt": []byte(merges),
		"x/tokenizer_config.json": []byte(config)}
}

func TestFolderEqualsPeer(t *testing.T) {
	qwen := `{"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {
		"0": {"content": "<|endoftext|>", "special": true},
		"402": {"content": "banyantree", "normalized": false},
		"400": {"content": "café!"}, "401": {"content": "banyan"}}}`
	for name, config := range map[string]string{
		"gpt2":  `{"tokenizer_class": "GPT2TokenizerFast"}`,
		"qwen2": qwen,
	} {
		tok, _, err := Load(t.Context(), folderOf(t, name, config), "mem://x")
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range readGoldens(t) {
			if g.Tokenizer != name {
				continue
			}
			if got := tok.Encode(nil, g.Text); !slices.Equal(got, g.IDs) {
				t.Errorf("%s: %q\n got %v\nwant %v", name, g.Text, got, g.IDs)
			}
		}
		if eos, ok := tok.EOS(); eos != 0 || !ok || tok.TokenBytes(0) != 0 {
			t.Errorf("%s: EOS %d %v, not the class's default", name, eos, ok)
		}
	}
}

func TestFolderTokens(t *testing.T) {
	m := folderOf(t, "gpt2", `{"tokenizer_class": "GPT2Tokenizer", "bos_token": null,
		"extra_special_tokens": {"image": "<img>"}}`)
	m["x/added_tokens.json"] = []byte(`{"<img>": 400, "word": 401, "<end>": 402}`)
	m["x/special_tokens_map.json"] = []byte(`{"eos_token": {"content": "<end>", "lstrip": true}}`)
	tok, pin, err := Load(t.Context(), m, "mem://x/vocab.json")
	if err != nil {
		t.Fatal(err)
	}
	if pin.Uri != "mem://x/vocab.json" || pin.EosId != 402 || pin.BosId != -1 {
		t.Errorf("pin %v", pin)
	}
	for id, size := range map[int32]int{0: 0, 400: 0, 401: 4, 402: 0} {
		if got := tok.TokenBytes(id); got != size {
			t.Errorf("id %d holds %d bytes, want %d", id, got, size)
		}
	}
	if ids := tok.Encode(nil, "word<img><end>"); !slices.Equal(ids, []int32{401, 400, 402}) {
		t.Errorf("added tokens get the ids %v", ids)
	}
	files, err := Files(t.Context(), m, "mem://x")
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(files)); len(got) != 5 {
		t.Errorf("files %v, want all five", got)
	}
	for name := range m { // each file decides ids
		changed := maps.Clone(m)
		changed[name] = append(slices.Clone(changed[name]), ' ')
		if _, err := LoadPinned(context.Background(), changed, pin); !errors.Is(err, store.ErrChanged) {
			t.Errorf("%s changed: error %v, want ErrChanged", name, err)
		}
	}
	if _, err := LoadPinned(t.Context(), m, pin); err != nil {
		t.Error(err)
	}
}

func TestFolderRefuses(t *testing.T) {
	gpt2 := `{"tokenizer_class": "GPT2Tokenizer"`
	set := func(name, data string) func(memory) {
		return func(m memory) { m["x/"+name] = []byte(data) }
	}
	for _, c := range []struct {
		name string
		edit func(memory)
		want string
		kind error
	}{
		{"no config", func(m memory) { delete(m, "x/"+configFile) }, "tokenizer_class", ErrInvalid},
		{"no class", set(configFile, `{}`), `tokenizer_class ""`, ErrUnsupported},
		{"class", set(configFile, `{"tokenizer_class": "CodeGenTokenizer"}`), "CodeGen", ErrUnsupported},
		{"split", set(configFile, gpt2+`, "split_special_tokens": true}`), "split_special",
			ErrUnsupported},
		{"prefix", set(configFile, `{"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": true}`),
			"add_prefix_space", ErrUnsupported},
		{"name", set(configFile, gpt2+`, "pad_token": "<pad>"}`), `"<pad>" has no id`, ErrInvalid},
		{"name type", set(configFile, gpt2+`, "pad_token": 1}`), "special token 1", ErrInvalid},
		{"config", set(configFile, `{`), configFile, ErrInvalid},
		{"key", set(configFile, gpt2+`, "added_tokens_decoder": {"x": {"content": "y"}}}`), `"x"`,
			ErrInvalid},
		{"gap", set(addedFile, `{"<x>": 500}`), `"<x>" has id 500`, ErrInvalid},
		{"added", set(addedFile, `[]`), addedFile, ErrInvalid},
		{"specials", set(specialsFile, `[]`), specialsFile, ErrInvalid},
		{"no merges", func(m memory) { delete(m, "x/"+mergesFile) }, mergesFile, ErrInvalid},
		{"merge", set(mergesFile, "a b\na b c\n"), "merges.txt line 2", ErrInvalid},
		{"blank", set(mergesFile, "a b\n\n"), "merges.txt line 2", ErrInvalid},
		{"merges bytes", set(mergesFile, "a \xff\n"), mergesFile, ErrInvalid},
		{"merge unknown", set(mergesFile, "a \u0444\n"), "\u0444", ErrInvalid},
		{"vocab", set(vocabFile, `{"a": "b"}`), vocabFile, ErrInvalid},
		{"vocab bytes", set(vocabFile, "{\"\xff\": 1}"), vocabFile, ErrInvalid},
	} {
		m := folderOf(t, "gpt2", gpt2+`}`)
		c.edit(m)
		_, _, err := Load(t.Context(), m, "mem://x")
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.kind) {
			t.Errorf("%s: error %v, want %q of kind %q", c.name, err, c.want, c.kind)
		}
	}
}

func FuzzFolder(f *testing.F) {
	f.Add([]byte(`{"a":0,"b":1,"ab":2}`), []byte("a b\n"), []byte(`{"tokenizer_class":"GPT2Tokenizer",
		"added_tokens_decoder":{"3":{"content":"x"}},"extra_special_tokens":["x"]}`),
		[]byte(`{"y":3}`), []byte(`{"eos_token":{"content":"y"}}`))
	f.Fuzz(func(t *testing.T, vocab, merges, config, added, specials []byte) {
		tok, err := parseFolder(vocab, merges, config, added, specials)
		if err != nil {
			return
		}
		for _, id := range tok.Encode(nil, "It's 12 <|endoftext|> 中文\r\n\xff") {
			if !tok.known(id) {
				t.Errorf("id %d is outside the vocabulary of %d", id, tok.VocabSize())
			}
		}
	})
}
