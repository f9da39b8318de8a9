package trace

import (
	"fmt"

	"github.com/banyan-train/banyan/dataset"
)

// documentKey names a document of a lane: its block number and the record in the file.
type documentKey struct {
	block  uint64
	record int64
}

// document is what a lane has consumed of one document, under best_fit.
type document struct {
	span   dataset.Span // the first one seen
	pieces map[int]bool // by first token
	last   int          // first token of the piece that ends the document; -1: not seen yet
}

// piece proves that a part of a document, as best_fit cuts them, was not consumed before. Parts of
// one length begin at its multiples, so two are the same or have no target in common.
func (a *auditor) piece(l *lane, s *dataset.Sequence, span dataset.Span, at int) error {
	if l.documents == nil {
		l.documents = map[documentKey]*document{}
	}
	key := documentKey{span.Block, span.Start}
	d := l.documents[key]
	if d == nil {
		d = &document{span: span, pieces: map[int]bool{}, last: -1}
		l.documents[key] = d
	}
	eos, _ := a.cfg.Tokenizer.EOS()
	ends := s.Tokens[at+span.Count-1] == eos
	switch {
	case d.pieces[span.Token]:
		return fmt.Errorf("token %d of the document at %s is consumed twice", span.Token,
			a.place(s.Source, span))
	case span.Token%a.cfg.SeqLen != 0 || !ends && span.Count != a.cfg.SeqLen+1:
		return fmt.Errorf("the document at %s is cut at tokens %d and %d", a.place(s.Source, span),
			span.Token, span.Token+span.Count)
	}
	d.pieces[span.Token] = true
	if ends {
		d.last = span.Token
	}
	return nil
}

// settle proves that nothing is left out of the documents of blocks that a lane is done with, and
// forgets them.
func (a *auditor) settle(key laneKey, l *lane, done uint64) error {
	for k, d := range l.documents {
		if k.block >= done {
			continue
		}
		if d.last < 0 || len(d.pieces) != d.last/a.cfg.SeqLen+1 {
			return fmt.Errorf("source %s: a part of the document at %s in block number %d is left out",
				a.report.Sources[key.source].Name, a.place(key.source, d.span), k.block)
		}
		delete(l.documents, k)
	}
	return nil
}
