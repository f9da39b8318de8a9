package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

const examples = "../../../examples"

func TestCommittedTokenizerIsWhatTheProgramWrites(t *testing.T) {
	files, err := build(filepath.Join(examples, "corpora"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(examples, "tokenizer", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what the program writes: run "+
				"`go run ./internal/gen/tokenizer`", name)
		}
	}
	tok, err := tokenize.Parse(files["tokenizer.json"], files["tokenizer_config.json"])
	if err != nil {
		t.Fatal(err)
	}
	if eos, ok := tok.EOS(); tok.VocabSize() != vocabSize || !ok || eos != 0 {
		t.Errorf("vocabulary of %d, eos %d, %v", tok.VocabSize(), eos, ok)
	}
}

func TestMostFrequentPairFirst(t *testing.T) {
	trainer := newTrainer(map[string]int{"abab": 3, "abc": 2, "cc": 7})
	got := trainer.train(3)
	// ab occurs 8 times, cc 7 times; then (ab, ab) 3 times beats (ab, c) with 2.
	want := []pair{{'a', 'b'}, {'c', 'c'}, {256, 256}}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("merges %v, want %v", got, want)
		}
	}
}
