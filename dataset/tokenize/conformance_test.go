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

func sharedFolder() string { return filepath.Join(os.Getenv(sharedEnv), "data") }

func sharedFile(t testing.TB, path ...string) []byte {
	t.Helper()
	if os.Getenv(sharedEnv) == "" {
		t.Skipf("set %s to the folder of shared data (make conformance)", sharedEnv)
	}
	data, err := os.ReadFile(filepath.Join(append([]string{sharedFolder()}, path...)...))
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
