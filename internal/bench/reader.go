package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

// corpusPlace is where sources lie and how they are read.
type corpusPlace struct {
	Endpoint  string   `json:"endpoint"` // of S3, with credentials from the environment; or files
	Sources   []string `json:"sources"`  // URIs, mixed in equal parts
	TextField string   `json:"text_field"`
}

// open pins the sources for so many slots.
func (p *corpusPlace) open(slots int) (*router.Router, *pb.Corpus, error) {
	var stores []*pb.Store
	if p.Endpoint != "" {
		stores = append(stores, &pb.Store{Name: router.Default, Endpoint: p.Endpoint})
	}
	opener, err := router.New(stores)
	if err != nil {
		return nil, nil, err
	}
	data := &pb.Data{}
	for i, uri := range p.Sources {
		data.Sources = append(data.Sources, &pb.Source{Name: fmt.Sprint("source", i), Uri: uri,
			Weight: 1, TextField: p.TextField})
	}
	corpus, err := dataset.Pin(context.Background(), opener, data, uint32(max(0, slots)))
	return opener, corpus, err
}

// reader pins a corpus and loads its tokenizer, for read.
func (s *server) reader(q *request) (answer, error) {
	opener, corpus, err := q.open(q.Batch)
	if err != nil {
		return nil, err
	}
	tok, _, err := tokenize.Load(context.Background(), opener, q.Tokenizer)
	if err != nil {
		return nil, err
	}
	cfg := dataset.Config{Corpus: corpus, SeqLen: q.SeqLen, GlobalBatch: q.Batch, DocMask: true,
		Seed: 7, Tokenizer: tok, Stores: opener, Hi: dataset.Slot(q.Batch)}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s.stream = &cfg
	blocks := make([]uint64, len(corpus.GetSources()))
	for i, m := range corpus.GetSources() {
		blocks[i] = m.GetBlocks()
	}
	return answer{"blocks": blocks}, nil
}

var errNoReader = errors.New(`no corpus: send {"do":"reader"} first`)

// read answers the time of so many steps from the first on. A stream works ahead of its reader:
// what it had made for further steps when it was closed is in the time, but not in the tokens.
func (s *server) read(steps int) (answer, error) {
	if s.stream == nil {
		return nil, errNoReader
	}
	ctx := context.Background()
	began, used := time.Now(), cpuTime()
	stream, err := dataset.Open(ctx, *s.stream, nil)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	tokens := 0
	for range steps {
		b, err := stream.Next(ctx)
		if err != nil {
			return nil, err
		}
		for i := range b.Sequences {
			tokens += len(b.Sequences[i].Targets)
		}
	}
	seconds := time.Since(began).Seconds()
	stream.Close()
	return answer{"seconds": seconds, "cpu_seconds": (cpuTime() - used).Seconds(),
		"tokens": tokens}, nil
}

// texts answers the text of every document, in file order.
func texts(q *request) (answer, error) {
	const slots = 1
	opener, corpus, err := q.open(slots)
	if err != nil {
		return nil, err
	}
	all := []string{}
	for _, m := range corpus.GetSources() {
		src, err := source.Open(opener, m, source.Options{Slots: slots, Once: true})
		if err != nil {
			return nil, err
		}
		r, err := src.Reader(0, 0, 0)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for {
			doc, err := r.Next(context.Background())
			if errors.Is(err, source.ErrExhausted) {
				break
			}
			if err != nil {
				return nil, err
			}
			all = append(all, doc.Text)
		}
	}
	return answer{"texts": all}, nil
}
