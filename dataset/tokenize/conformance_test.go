package tokenize

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sharedEnv names the folder of real tokenizers and texts that the conformance target uses. Set
// but missing, the tests fail; unset, they do not run.
const sharedEnv = "BANYAN_SHARED"

func sharedFile(t testing.TB, path ...string) []byte {
	t.Helper()
	folder := os.Getenv(sharedEnv)
	if folder == "" {
		t.Skipf("set %s to the folder of shared data (make conformance)", sharedEnv)
	}
	data, err := os.ReadFile(filepath.Join(append([]string{folder, "data"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// qwen2 builds the tokenizer.json of Qwen2 from the older files: vocabulary, merges, added tokens.
func qwen2(t testing.TB) Tokenizer {
	t.Helper()
	file := func(name string) []byte { return sharedFile(t, "tokenizers", "qwen2", name) }
	var merges []string
	for line := range strings.Lines(string(file("merges.txt"))) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, "#version") {
			merges = append(merges, line)
		}
	}
	var added map[string]int
	if err := json.Unmarshal(file("added_tokens.json"), &added); err != nil {
		t.Fatal(err)
	}
	var tokens []map[string]any
	for content, id := range added {
		tokens = append(tokens, map[string]any{"id": id, "content": content, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
	}
	slices.SortFunc(tokens, func(a, b map[string]any) int { return a["id"].(int) - b["id"].(int) })
	data, err := json.Marshal(object{
		"version":      "1.0",
		"added_tokens": tokens,
		"normalizer":   object{"type": "NFC"},
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": patternQwen2}, "behavior": "Isolated"},
			{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
		}},
		"decoder": object{"type": "ByteLevel"},
		"model": object{"type": "BPE", "merges": merges,
			"vocab": json.RawMessage(file("vocab.json"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data, file("tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestConformanceQwen(t *testing.T) {
	tok := qwen2(t)
	check := func(text string, want []int32) {
		t.Helper()
		if got := tok.Encode(nil, text); !slices.Equal(got, want) {
			t.Errorf("%q\n got %v\nwant %v", text, got, want)
		}
	}
	vectors := "ggml-vocab-qwen2.gguf"
	texts := strings.Split(string(sharedFile(t, "tokenizers", "vectors", vectors+".inp")),
		"\n__ggml_vocab_test__\n")
	lines := strings.Split(string(sharedFile(t, "tokenizers", "vectors", vectors+".out")), "\n")
	for i, text := range texts[:len(texts)-1] {
		var want []int32
		for _, field := range strings.Fields(lines[i]) {
			id, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, int32(id))
		}
		check(text, want)
	}
	gold := bufio.NewScanner(bytes.NewReader(sharedFile(t, "tokenizers", "vectors",
		"gold_dev.jsonl")))
	gold.Buffer(nil, 1<<24)
	count := 0
	for ; gold.Scan(); count++ {
		var row struct {
			Text string  `json:"text"`
			Qwen []int32 `json:"qwen"`
		}
		if err := json.Unmarshal(gold.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		check(row.Text, row.Qwen)
	}
	if len(texts) < 40 || count < 100 {
		t.Errorf("%d and %d texts, want 40 and 100 at least", len(texts), count)
	}
}

// BenchmarkSharedEncode encodes real text record by record, as the packer does.
func BenchmarkSharedEncode(b *testing.B) {
	for _, name := range []string{"en_austen-pride", "en_rust-book", "zh_cmrc2018-wiki"} {
		tok := qwen2(b)
		var texts []string
		bytesTotal := 0
		lines := bytes.Split(sharedFile(b, "corpora", name+".jsonl"), []byte("\n"))
		for _, line := range lines {
			var row struct {
				Text string `json:"text"`
			}
			if json.Unmarshal(line, &row) == nil && row.Text != "" {
				texts = append(texts, row.Text)
				bytesTotal += len(row.Text)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(bytesTotal))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				for _, text := range texts {
					ids = tok.Encode(ids[:0], text)
				}
			}
		})
	}
}
