package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// vocabSize is the size of the vocabulary, special tokens included.
const vocabSize = 4096

func main() {
	corpora := flag.String("corpora", "examples/corpora", "folder of *.jsonl to train on")
	out := flag.String("out", "examples/tokenizer", "folder to write to")
	flag.Parse()
	if err := run(*corpora, *out); err != nil {
		fmt.Fprintln(os.Stderr, "tokenizer:", err)
		os.Exit(1)
	}
}

func run(corpora, out string) error {
	files, err := build(corpora)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			return fmt.Errorf("write tokenizer: %w", err)
		}
	}
	return nil
}

// build trains on a folder and returns the files to write, by name.
func build(corpora string) (map[string][]byte, error) {
	texts, err := readTexts(corpora)
	if err != nil {
		return nil, err
	}
	merges := newTrainer(countWords(texts)).train(vocabSize - len(specials) - 256)
	return encodeFiles(merges)
}

// readTexts reads the field text of every record, files in the order of their names.
func readTexts(folder string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("list corpora: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("list corpora: no *.jsonl in %s", folder)
	}
	var texts []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read corpus: %w", err)
		}
		for line := range bytes.Lines(data) {
			var row struct {
				Text string `json:"text"`
			}
			if err := json.Unmarshal(line, &row); err != nil {
				return nil, fmt.Errorf("read corpus %s: %w", path, err)
			}
			texts = append(texts, row.Text)
		}
	}
	return texts, nil
}
