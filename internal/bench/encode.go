package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store/router"
)

// maxRecord bounds a line of a corpus.
const maxRecord = 64 << 20

// encoder is a tokenizer with texts to encode.
type encoder struct {
	tok   tokenize.Tokenizer
	texts []string
	bytes int
	ids   []int32
}

// corpus loads a tokenizer, and the texts of files of JSON lines.
func (s *server) corpus(uri string, files []string) (answer, error) {
	opener, err := router.New(nil)
	if err != nil {
		return nil, err
	}
	e := &encoder{}
	if e.tok, _, err = tokenize.Load(context.Background(), opener, uri); err != nil {
		return nil, err
	}
	for _, name := range files {
		if err := e.read(name); err != nil {
			return nil, fmt.Errorf("read corpus %s: %w", name, err)
		}
	}
	s.encoder = e
	return answer{"texts": len(e.texts), "bytes": e.bytes}, nil
}

func (e *encoder) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		var row struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		e.texts = append(e.texts, row.Text)
		e.bytes += len(row.Text)
	}
	return lines.Err()
}

// encode encodes every text and answers the time of one pass.
func (e *encoder) encode(repeat int) answer {
	began, used := time.Now(), cpuTime()
	tokens := 0
	for range repeat {
		tokens = 0
		for _, text := range e.texts {
			e.ids = e.tok.Encode(e.ids[:0], text)
			tokens += len(e.ids)
		}
	}
	return answer{"seconds": time.Since(began).Seconds() / float64(repeat), "tokens": tokens,
		"cpu_seconds": (cpuTime() - used).Seconds() / float64(repeat)}
}
