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
	dir   string
	name  string
	lang  string
	size  int // bytes; the file ends with the first document that reaches it
	build func(*writer) string
}

// shortest is the least number of characters of a document.
const shortest = 100

// The held-out sets are other documents of the same grammar, in a folder of their own: a wildcard
// over the corpora must not take them in.
var corpora = []corpus{
	{"corpora", "en-stories", "en", 360_000, story},
	{"corpora", "en-facts", "en", 320_000, facts},
	{"corpora", "zh-stories", "zh", 360_000, story},
	{"corpora", "zh-facts", "zh", 320_000, facts},
	{"held-out", "en", "en", 32_000, mixed},
	{"held-out", "zh", "zh", 32_000, mixed},
}

// mixed writes a story or facts.
func mixed(w *writer) string {
	if w.rng.between(0, 1) == 0 {
		return story(w)
	}
	return facts(w)
}

// file is the path of the file in a folder.
func (c corpus) file(root string) string { return filepath.Join(root, c.dir, c.name+".jsonl") }

func main() {
	out := flag.String("out", "examples", "folder to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "corpora:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	for _, c := range corpora {
		data, err := c.generate()
		if err != nil {
			return fmt.Errorf("generate %s: %w", c.name, err)
		}
		if err := os.MkdirAll(filepath.Join(out, c.dir), 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(c.file(out), data, 0o644); err != nil {
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
