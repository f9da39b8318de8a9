package tokenize

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

type object = map[string]any

// edited returns a valid tokenizer.json changed by edit.
func edited(t *testing.T, edit func(file object)) []byte {
	t.Helper()
	var file object
	if err := json.Unmarshal(testFile(t, "llama3.json"), &file); err != nil {
		t.Fatal(err)
	}
	edit(file)
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever this package does not do exactly must be refused by name; a default or an ignored
// field would be a wrong id later.
func TestUnsupportedFilesAreRefusedByName(t *testing.T) {
	model := func(field string, value any) func(object) {
		return func(f object) { f["model"].(object)[field] = value }
	}
	top := func(field string, value any) func(object) {
		return func(f object) { f[field] = value }
	}
	stages := func(list ...object) func(object) {
		return top("pre_tokenizer", object{"type": "Sequence", "pretokenizers": list})
	}
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
	split := func(pattern object, behavior string, invert bool) object {
		return object{"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
	}
	llama := object{"Regex": patternL3}
	added := func(field string, value any) func(object) {
		return func(f object) { f["added_tokens"].([]any)[0].(object)[field] = value }
	}
	cases := []struct {
		name string
		edit func(object)
		want string // in the error
		kind error
	}{
		{"dropout", model("dropout", 0.1), "dropout", ErrUnsupported},
		{"unk", model("unk_token", "<unk>"), "unk_token", ErrUnsupported},
		{"prefix", model("continuing_subword_prefix", "##"), "continuing_subword", ErrUnsupported},
		{"suffix", model("end_of_word_suffix", "</w>"), "end_of_word_suffix", ErrUnsupported},
		{"fallback", model("byte_fallback", true), "byte_fallback", ErrUnsupported},
		{"model type", model("type", "Unigram"), "Unigram", ErrUnsupported},
		{"model field", model("novel", 1), "novel", ErrUnsupported},
		{"no model", top("model", nil), "model", ErrInvalid},
		{"normalizer", top("normalizer", object{"type": "NFKC"}), "NFKC", ErrUnsupported},
		{"untyped normalizer", top("normalizer", object{}), "normalizer", ErrUnsupported},
		{"no pre-tokenizer", top("pre_tokenizer", nil), "pre_tokenizer", ErrUnsupported},
		{"metaspace", top("pre_tokenizer", object{"type": "Metaspace"}), "Metaspace", ErrUnsupported},
		{"whitespace", stages(object{"type": "Whitespace"}, byteLevel), "Whitespace", ErrUnsupported},
		{"no stages", stages(), "empty", ErrUnsupported},
		{"split last", stages(split(llama, "Isolated", false)), "ByteLevel", ErrUnsupported},
		{"byte level first", stages(byteLevel, byteLevel), "ByteLevel", ErrUnsupported},
		{"pattern", stages(split(object{"Regex": `\w+`}, "Isolated", false), byteLevel), `\\w+`,
			ErrUnsupported},
		{"string", stages(split(object{"String": "x"}, "Isolated", false), byteLevel), "Regex",
			ErrUnsupported},
		{"behavior", stages(split(llama, "MergedWithNext", false), byteLevel), "MergedWithNext",
			ErrUnsupported},
		{"invert", stages(split(llama, "Removed", false), byteLevel), "invert", ErrUnsupported},
		{"prefix after split", stages(split(llama, "Isolated", false),
			object{"type": "ByteLevel", "add_prefix_space": true}), "add_prefix_space", ErrUnsupported},
		{"post", top("post_processor", object{"type": "BertProcessing"}), "Bert", ErrUnsupported},
		{"decoder", top("decoder", object{"type": "Metaspace"}), "Metaspace", ErrUnsupported},
		{"no decoder", top("decoder", nil), "decoder", ErrUnsupported},
		{"top field", top("novel", true), "novel", ErrUnsupported},
		{"version", top("version", "2.0"), "2.0", ErrUnsupported},
		{"token field", added("novel", true), "novel", ErrUnsupported},
		{"token id", added("id", 7), "has id 7", ErrInvalid},
		{"empty token", added("content", ""), "empty", ErrInvalid},
		{"merge of three", model("merges", []string{"a b c"}), "merges[0]", ErrInvalid},
		{"merge of none", model("merges", []any{[]string{"a"}}), "merges[0]", ErrInvalid},
		{"merge number", model("merges", []any{1}), "merges[0]", ErrInvalid},
		{"merge unknown", model("merges", []string{"a \u0444"}), "\u0444", ErrInvalid},
		{"same id", func(f object) {
			f["model"].(object)["vocab"].(object)["twice"] = 5
		}, "id 5 has two tokens", ErrInvalid},
		{"huge id", func(f object) {
			f["model"].(object)["vocab"].(object)["far"] = 1 << 23
		}, "ids up to", ErrInvalid},
		{"negative id", func(f object) {
			f["model"].(object)["vocab"].(object)["far"] = -1
		}, "id -1", ErrInvalid},
		{"missing byte", func(f object) {
			delete(f["model"].(object)["vocab"].(object), "\u0100")
		}, "0x00", ErrUnsupported},
	}
	for _, c := range cases {
		_, err := Parse(edited(t, c.edit), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.kind) {
			t.Errorf("%s: error %v, want %q of kind %q", c.name, err, c.want, c.kind)
		}
	}
	if _, err := Parse(edited(t, func(object) {}), nil); err != nil {
		t.Errorf("the file as it is: %v", err)
	}
}

func TestBrokenFilesAreErrors(t *testing.T) {
	good := testFile(t, "gpt2.json")
	for _, data := range [][]byte{nil, []byte("{"), []byte("null"), []byte("[]"), []byte("{}"),
		good[:len(good)/2], append(good[:len(good):len(good)], '{'), {0xFF}} {
		if tok, err := Parse(data, nil); err == nil || tok != nil {
			t.Errorf("parse %q: %v, %v", clip(data), tok, err)
		}
	}
}

func TestConfig(t *testing.T) {
	main := testFile(t, "llama3.json")
	for _, c := range []struct{ config, want string }{
		{`{"eos_token": "<|endoftext|>", "bos_token": null}`, ""},
		{`{"eos_token": {"content": "<|endoftext|>"}, "chat_template": "x"}`, ""},
		{`{"eos_token": "<|endoftext|>", "add_prefix_space": false}`, ""},
		{`{"eos_token": "</s>"}`, `eos_token "</s>"`},
		{`{"bos_token": 7}`, "bos_token 7"},
		{`{"add_prefix_space": true}`, "add_prefix_space"},
		{`{"added_tokens_decoder": {"9": {"content": "<x>"}}}`, "<x>"},
		{`{`, "tokenizer_config.json"},
	} {
		tok, err := Parse(main, []byte(c.config))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %q", c.config, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		eos, ok := tok.EOS()
		if _, hasBOS := tok.BOS(); eos != 0 || !ok || hasBOS {
			t.Errorf("%s: eos %d %v, bos %v", c.config, eos, ok, hasBOS)
		}
		if tok.TokenBytes(eos) != 0 || string(tok.Decode([]int32{eos})) != "<|endoftext|>" {
			t.Errorf("%s: eos stands for %d bytes, %q", c.config, tok.TokenBytes(eos),
				tok.Decode([]int32{eos}))
		}
	}
}
