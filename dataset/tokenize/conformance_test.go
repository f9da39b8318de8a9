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

	"github.com/banyan-train/banyan/dataset/tokenize/sentencepiece"
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

// checkVectors holds a tokenizer against a file of texts and one of their ids.
func checkVectors(t *testing.T, tok Tokenizer, vectors string) {
	t.Helper()
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
		if got := tok.Encode(nil, text); !slices.Equal(got, want) {
			t.Errorf("%q\n got %v\nwant %v", text, got, want)
		}
	}
	if len(texts) < 40 {
		t.Errorf("%d texts, want 40 at least", len(texts))
	}
}

// checkGold holds a tokenizer against its column of gold_dev.jsonl.
func checkGold(t *testing.T, tok Tokenizer, column string) {
	t.Helper()
	gold := bufio.NewScanner(bytes.NewReader(sharedFile(t, "tokenizers", "vectors",
		"gold_dev.jsonl")))
	gold.Buffer(nil, 1<<24)
	count := 0
	for ; gold.Scan(); count++ {
		var row map[string]json.RawMessage
		var text string
		var want []int32
		if err := json.Unmarshal(gold.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(row["text"], &text) != nil || json.Unmarshal(row[column], &want) != nil {
			t.Fatalf("line %d: no text or no %s", count+1, column)
		}
		if got := tok.Encode(nil, text); !slices.Equal(got, want) {
			t.Errorf("%q\n got %v\nwant %v", text, got, want)
		}
	}
	if count < 100 {
		t.Errorf("%d texts, want 100 at least", count)
	}
}

func TestConformanceQwen(t *testing.T) {
	tok := qwen2(t)
	checkVectors(t, tok, "ggml-vocab-qwen2.gguf")
	checkGold(t, tok, "qwen")
}

// The Chinese-LLaMA recipe: the pieces of the Chinese model behind those of Llama 2.
func TestConformanceSentencePiece(t *testing.T) {
	base := sharedFile(t, "tokenizers", "llama2", modelFile)
	llama, err := parseModel(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkVectors(t, llama, "ggml-vocab-llama-spm.gguf")
	checkGold(t, llama, "llama2")
	merged, fresh, err := sentencepiece.Merge(base,
		sharedFile(t, "tokenizers", "chinese-llama", "chinese_sp.model"))
	if err != nil {
		t.Fatal(err)
	}
	chinese, err := parseModel(merged, nil)
	if err != nil {
		t.Fatal(err)
	}
	if chinese.VocabSize() != 49_953 || llama.VocabSize()+fresh != 49_953 {
		t.Errorf("%d pieces, %d of them new", chinese.VocabSize(), fresh)
	}
	checkGold(t, chinese, "chinese_llama")
}
