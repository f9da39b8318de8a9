package survey

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// How many of the longest documents are named, and of the broken records.
const (
	longest  = 3
	firstBad = 5
)

// Counts is what one source holds.
type Counts struct {
	Documents  uint64     `json:"documents"`
	Bytes      uint64     `json:"bytes"` // of text
	Characters uint64     `json:"characters"`
	Tokens     uint64     `json:"tokens"`     // EOS counted, BOS where the run puts it
	Duplicates uint64     `json:"duplicates"` // documents whose text was there before
	Sampled    bool       `json:"sampled"`    // duplicates are estimated
	Broken     uint64     `json:"broken"`     // records that no run could read
	BadUTF8    uint64     `json:"bad_utf8"`   // of these: not UTF-8
	FirstBad   []string   `json:"first_bad"`  // what is wrong with the first few of them
	Longest    []Document `json:"longest"`
}

// Document names one document.
type Document struct {
	File   string `json:"file"`
	Record int64  `json:"record"` // where it starts in the file: the byte, or the row
	Place  string `json:"place"`  // the same in words
	Bytes  int    `json:"bytes"`  // of text
	Tokens int    `json:"tokens"`
}

// counter reads one source.
type counter struct {
	manifest *pb.SourceManifest
	stores   store.Opener
	tok      tokenize.Tokenizer
	extra    int // tokens a document: EOS, BOS
	max      int64
	progress func(bytes int64)
}

// count reads a source once, with as many readers as there are processors.
func (c *counter) count(ctx context.Context) (*Counts, error) {
	n := runtime.GOMAXPROCS(0)
	bad := broken{files: map[string]int{}}
	for i, f := range c.manifest.GetFiles() {
		bad.files[f.GetUri()] = i
	}
	src, err := source.Open(c.stores, c.manifest,
		source.Options{Slots: n, MaxRecord: c.max, Once: true, Bad: bad.add})
	if err != nil {
		return nil, err
	}
	parts := make([]*part, n)
	group, ctx := errgroup.WithContext(ctx)
	for slot := range parts {
		parts[slot] = &part{seen: newHashes()}
		group.Go(func() error { return c.read(ctx, src, slot, parts[slot]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := parts[0]
	for _, p := range parts[1:] {
		all.add(p)
	}
	all.Duplicates, all.Sampled = all.seen.duplicates()
	all.Broken, all.BadUTF8, all.FirstBad = bad.count, bad.utf8, bad.messages()
	return &all.Counts, nil
}

// part is what one reader has counted.
type part struct {
	Counts
	seen *hashes
}

func (c *counter) read(ctx context.Context, src *source.Source, slot int, p *part) error {
	if uint64(slot) >= src.Blocks() {
		return nil
	}
	r, err := src.Reader(slot, uint64(slot), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	var ids []int32
	at, block := int64(0), ^uint64(0)
	for {
		doc, err := r.Next(ctx)
		switch {
		case errors.Is(err, source.ErrExhausted):
			return nil
		case err != nil:
			return err
		}
		ids = c.tok.Encode(ids[:0], doc.Text)
		p.document(c.manifest, &doc, len(ids)+c.extra)
		if doc.Block == block && doc.Start > at {
			c.progress(doc.Start - at)
		}
		at, block = doc.Start, doc.Block
	}
}

func (p *part) document(m *pb.SourceManifest, doc *source.Document, tokens int) {
	p.Documents++
	p.Bytes += uint64(len(doc.Text))
	p.Characters += uint64(utf8.RuneCountInString(doc.Text))
	p.Tokens += uint64(tokens)
	p.seen.add(doc.Text)
	if len(p.Longest) < longest || len(doc.Text) > p.Longest[len(p.Longest)-1].Bytes {
		f := m.GetFiles()[doc.File]
		p.long(Document{f.GetUri(), doc.Start, source.Place(f, doc.Start), len(doc.Text), tokens})
	}
}

func (p *part) long(d Document) {
	p.Longest = append(p.Longest, d)
	slices.SortFunc(p.Longest, func(a, b Document) int {
		return cmp.Or(b.Bytes-a.Bytes, cmp.Compare(a.File, b.File), cmp.Compare(a.Record, b.Record))
	})
	p.Longest = p.Longest[:min(longest, len(p.Longest))]
}

// add adds the counts of another reader. The outcome does not depend on the order.
func (p *part) add(q *part) {
	p.Documents += q.Documents
	p.Bytes += q.Bytes
	p.Characters += q.Characters
	p.Tokens += q.Tokens
	for _, d := range q.Longest {
		p.long(d)
	}
	p.seen.merge(q.seen)
}
