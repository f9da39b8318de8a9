package tokenize

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// What a file with byte_fallback asks for and is not done exactly is refused by name.
func TestI13_SpacedFilesAreRefusedByName(t *testing.T) {
	type object = map[string]any
	set := func(field string, value any) func(object) {
		return func(f object) { f[field] = value }
	}
	model := func(field string, value any) func(object) {
		return func(f object) { f["model"].(object)[field] = value }
	}
	vocab := func(token string, id any) func(object) {
		return func(f object) {
			v := f["model"].(object)["vocab"].(object)
			if v[token] = id; id == nil {
				delete(v, token)
			}
		}
	}
	for name, c := range map[string]struct {
		edit func(object)
		want string
		kind error
	}{
		"scheme": {set("pre_tokenizer", object{"type": "Metaspace", "replacement": metaspace,
			"prepend_scheme": "second"}), "second", ErrUnsupported},
		"mark": {set("pre_tokenizer", object{"type": "Metaspace", "replacement": "_",
			"prepend_scheme": "always"}), "pre_tokenizer", ErrUnsupported},
		"pre-tokenizer": {set("pre_tokenizer", object{"type": "ByteLevel"}), "ByteLevel",
			ErrUnsupported},
		"normalizer": {set("normalizer", object{"type": "NFKC"}), "a normalizer beside",
			ErrUnsupported},
		"decoder":       {set("decoder", object{"type": "Metaspace"}), "decoder", ErrUnsupported},
		"version":       {set("version", "2.0"), "2.0", ErrUnsupported},
		"dropout":       {model("dropout", 0.5), "dropout", ErrUnsupported},
		"ignore merges": {model("ignore_merges", true), "ignore_merges", ErrUnsupported},
		"unknown":       {model("unk_token", "[none]"), "[none]", ErrInvalid},
		"type":          {model("type", "Unigram"), "Unigram", ErrUnsupported},
		"field":         {model("novel", 1), "novel", ErrUnsupported},
		"merge":         {model("merges", []string{"qq zz"}), "merges[0]", ErrInvalid},
		"byte":          {vocab("<0x41>", nil), "<0x41>", ErrInvalid},
		"twice":         {vocab("novel", 5), "two tokens", ErrInvalid},
		"far":           {vocab("novel", 1<<23), "out of range", ErrInvalid},
	} {
		var f object
		if err := json.Unmarshal(testFile(t, "metaspace.json"), &f); err != nil {
			t.Fatal(err)
		}
		c.edit(f)
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(data, nil); !errors.Is(err, c.kind) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %v with %q", name, err, c.kind, c.want)
		}
	}
	var f object
	if err := json.Unmarshal(testFile(t, "prepend.json"), &f); err != nil {
		t.Fatal(err)
	}
	f["added_tokens"].([]any)[1].(object)["normalized"] = true
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(data, nil); !errors.Is(err, ErrUnsupported) ||
		!strings.Contains(err.Error(), "Prepend") {
		t.Errorf("error %v of a normalized token", err)
	}
}

func TestSpacedTokenBytesAddUp(t *testing.T) {
	tok := anyTokenizer(t, "nosplit")
	for _, text := range []string{"The lamp on the hill", "榕树 👍🏽\n", "a  b"} {
		sum := 0
		for _, id := range tok.Encode(nil, text) {
			sum += tok.TokenBytes(id)
		}
		if sum != len(text)+1 {
			t.Errorf("%q: %d bytes of tokens, want %d and a prefix", text, sum, len(text))
		}
	}
	if tok.TokenBytes(0) != 0 || tok.TokenBytes(-1) != 0 {
		t.Error("special tokens count bytes")
	}
}
