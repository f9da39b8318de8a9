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

// qwen2 reads the folder of Qwen2: vocab.json, merges.txt and their configs.
func qwen2(t testing.TB) Tokenizer {
	t.Helper()
	file := func(name string) []byte { return sharedFile(t, "tokenizers", "qwen2", name) }
	tok, err := parseVocab(file(vocabFile), file(mergesFile), file(configFile), file(addedFile), nil)
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
