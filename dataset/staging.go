package dataset

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/stage"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// enough is how many sequences' tokens a source is repeated to when it is staged: the padding
// behind its end is then a small part of it.
const enough = 32

// Stage makes what is missing of the staged sources of a corpus: of their bundles, counted through
// all sources, those whose number is `share` modulo `shares`. What is there already is left alone.
// A stream can be opened when every share is made. progress is called now and then while documents
// are read, with the source's name and how many there were.
func Stage(ctx context.Context, cfg Config, share, shares int,
	progress func(source string, documents uint64),
) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	cfg.Stores = newPatient(cfg.Stores)
	number := 0
	for _, m := range cfg.Corpus.GetSources() {
		if !m.GetStaged() {
			continue
		}
		bundles, err := bundlesOf(m)
		if err != nil {
			return fmt.Errorf("stage source %q: %w", m.GetName(), err)
		}
		for i, b := range bundles {
			if number++; number%shares != share {
				continue
			}
			s := &stager{cfg: &cfg, manifest: m, progress: progress, only: len(bundles) == 1}
			if err := s.make(ctx, i, b); err != nil {
				return fmt.Errorf("stage source %q: %w", m.GetName(), err)
			}
		}
	}
	return nil
}

// stager packs one bundle.
type stager struct {
	cfg      *Config
	manifest *pb.SourceManifest
	progress func(source string, documents uint64)
	only     bool // the bundle is all of the source

	batches   chan *batch // in the order of the documents
	readErr   error       // why there are no more; set before batches is closed
	now       []pack.Document
	documents uint64
	tokens    uint64
	passes    uint64

	kept  []pack.Document // all documents so far, while they are few; then what is repeated
	again int             // in kept
}

// batch is some documents, and their tokens when done is closed.
type batch struct {
	read []source.Document
	made []pack.Document
	done chan struct{}
}

// Bounds of a batch, and how many are tokenized at once.
const (
	batchDocuments = 256
	batchBytes     = 256 << 10
	batchesOnce    = 8
)

func (s *stager) make(ctx context.Context, i int, b bundle) error {
	bucket, prefix, id, err := s.cfg.series(s.manifest, i, b)
	if err != nil {
		return err
	}
	if _, err := stage.Open(ctx, bucket, prefix, id); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	s.batches = make(chan *batch, batchesOnce)
	group.Go(func() error {
		s.readErr = s.read(ctx, b, group)
		close(s.batches)
		return s.readErr
	})
	group.Go(func() error { return s.write(ctx, stage.NewWriter(bucket, prefix, id)) })
	return group.Wait()
}

// read reads the documents of a bundle once, in the order of the files, and has them tokenized.
func (s *stager) read(ctx context.Context, b bundle, group *errgroup.Group) error {
	src, err := source.Open(s.cfg.Stores, s.manifest, source.Options{Slots: 1, Once: true,
		Until: b.until, MaxRecord: s.cfg.MaxRecord})
	if err != nil {
		return err
	}
	reader, err := src.Reader(0, b.first, 0)
	if err != nil {
		return err
	}
	defer reader.Close()
	for ended := false; !ended; {
		one := &batch{done: make(chan struct{})}
		for size := 0; size < batchBytes && len(one.read) < batchDocuments; {
			doc, err := reader.Next(ctx)
			if ended = errors.Is(err, source.ErrExhausted); ended {
				break
			}
			if err != nil {
				return err
			}
			one.read, size = append(one.read, doc), size+len(doc.Text)
		}
		select {
		case s.batches <- one:
		case <-ctx.Done():
			return ctx.Err()
		}
		group.Go(func() error { // as many as batches has room for
			s.tokenize(one)
			return nil
		})
	}
	return nil
}

func (s *stager) tokenize(one *batch) {
	for _, doc := range one.read {
		one.made = append(one.made, pack.Document{Block: doc.Block, File: doc.File,
			Start: doc.Start, Offset: doc.Offset, Tokens: s.cfg.tokens(nil, doc.Text)})
	}
	one.read = nil
	close(one.done)
}

// write packs the documents and writes the sequences.
func (s *stager) write(ctx context.Context, w *stage.Writer) error {
	var p packer = pack.New(s.cfg.SeqLen, s.cfg.DocMask)
	if s.cfg.Packing == pb.Packing_BEST_FIT {
		p = pack.NewBestFit(s.cfg.SeqLen)
	}
	for {
		packed, err := p.Next(func() (pack.Document, error) { return s.pull(ctx) })
		if errors.Is(err, pack.ErrEnd) {
			return w.Close(ctx, s.documents, s.tokens, s.passes+1)
		}
		if err != nil {
			return err
		}
		filled := 0
		for _, span := range packed.Spans {
			filled += span.Count
		}
		err = w.Add(ctx, stage.Sequence{Tokens: packed.Tokens[:filled], Spans: packed.Spans})
		if err != nil {
			return err
		}
	}
}

// pull returns the next document: the bundle's, and then, where it is all of a source that is too
// short, the same ones again.
func (s *stager) pull(ctx context.Context) (pack.Document, error) {
	for len(s.now) == 0 {
		one, err := s.nextBatch(ctx)
		if err != nil {
			return pack.Document{}, err
		}
		if one == nil {
			return s.repeat()
		}
		s.now = one.made
		s.documents += uint64(len(s.now))
		s.progress(s.manifest.GetName(), s.documents)
	}
	doc := s.now[0]
	s.now = s.now[1:]
	s.tokens += uint64(len(doc.Tokens))
	if s.only && s.short(s.tokens) {
		s.kept = append(s.kept, doc)
	}
	return doc, nil
}

// nextBatch waits for a batch; nil behind the last.
func (s *stager) nextBatch(ctx context.Context) (*batch, error) {
	select {
	case one, more := <-s.batches:
		if !more {
			return nil, s.readErr
		}
		<-one.done
		return one, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// short says whether so many tokens are not yet enough.
func (s *stager) short(tokens uint64) bool { return tokens < enough*uint64(s.cfg.SeqLen) }

// repeat goes through the kept documents until there are enough tokens, and ends with whole passes.
// Block numbers go on, as in epochs.
func (s *stager) repeat() (pack.Document, error) {
	if s.again == 0 {
		if !s.only || s.tokens == 0 || !s.short(s.tokens*(s.passes+1)) {
			return pack.Document{}, pack.ErrEnd
		}
		s.passes++
	}
	doc := s.kept[s.again]
	doc.Block += s.passes * s.manifest.GetBlocks()
	s.again = (s.again + 1) % len(s.kept)
	return doc, nil
}
