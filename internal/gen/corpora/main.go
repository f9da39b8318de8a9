package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// corpus is one file to write.
type corpus struct {
	name  string
	lang  string
	size  int // bytes; the file ends with the first document that reaches it
	build func(*writer) string
}

// shortest is the least number of characters of a document.
const shortest = 100

var corpora = []corpus{
	{"en-stories", "en", 360_000, story},
	{"en-facts", "en", 320_000, facts},
	{"zh-stories", "zh", 360_000, story},
	{"zh-facts", "zh", 320_000, facts},
}

func main() {
	out := flag.String("out", "examples/corpora", "folder to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "corpora:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, c := range corpora {
		data, err := c.generate()
		if err != nil {
			return fmt.Errorf("generate %s: %w", c.name, err)
		}
		if err := os.WriteFile(filepath.Join(out, c.name+".jsonl"), data, 0o644); err != nil {
			return fmt.Errorf("write corpus: %w", err)
		}
	}
	return nil
}

// generate returns the content of the file.
func (c corpus) generate() ([]byte, error) {
	lists, err := readGrammar(c.lang)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	rng := newRandom(c.name)
	for n := 0; out.Len() < c.size; {
		w := &writer{lang: c.lang, lists: lists, rng: rng,
			vars: map[string]string{}, used: map[string]bool{}}
		text := c.build(w)
		if w.err != nil {
			return nil, w.err
		}
		if utf8.RuneCountInString(text) < shortest {
			continue
		}
		row := struct {
			Text string `json:"text"`
			Lang string `json:"lang"`
			ID   string `json:"id"`
		}{text, c.lang, fmt.Sprintf("%s-%04d", c.name, n)}
		if err := enc.Encode(row); err != nil {
			return nil, fmt.Errorf("encode document: %w", err)
		}
		n++
	}
	return out.Bytes(), nil
}
