package pack

import (
	"errors"
	"fmt"
)

// Bounds of the look-ahead of a BestFit: pieces in its window, and tokens of those not yet taken,
// as a multiple of a sequence. Position has a bit a piece.
const (
	maxWindow = 64
	maxHeld   = 4
)

// piece is a document, or a part of a long one, that stands in one sequence as a whole.
type piece struct {
	doc    Document // without its tokens
	token  int      // of the document, at which the piece starts
	tokens []int32  // nil once taken
}

// BestFit fills sequences with whole documents: the oldest one that waits, then as long as any
// fits the longest that does, the older one of two that are equal. What is left over is padding.
// A document longer than a sequence is cut: each part but the last fills a sequence, and the next
// begins with its last token. The last part may find a place before the others. Not safe for
// concurrent use.
//
// What it does next depends on its position alone: the oldest piece of the window, and which of
// those from there on are taken.
type BestFit struct {
	seqLen int
	window []piece
	taken  uint64 // bit i: piece i of the window, or one still to be cut, is taken
	held   int    // tokens of the pieces that are not

	doc    Document // being cut; its tokens are valid until the next pull
	token  int      // of doc, at which the next piece starts; len(doc.Tokens): it is used up
	ended  bool     // no document follows doc
	resume *Position
}

// NewBestFit returns a packer at the start of a series.
func NewBestFit(seqLen int) *BestFit { return &BestFit{seqLen: seqLen} }

// ResumeBestFit returns a packer that goes on at a position that another one was at. The first
// document pulled must be the one there.
func ResumeBestFit(seqLen int, at Position) *BestFit {
	return &BestFit{seqLen: seqLen, taken: at.Taken, resume: &at}
}

// Position is the oldest piece of the window and what is taken from there on; false before the
// first document of a new series.
func (p *BestFit) Position() (Position, bool) {
	switch {
	case p.resume != nil:
		return *p.resume, true
	case len(p.window) == 0:
		return Position{}, false
	}
	first := &p.window[0]
	return Position{Block: first.doc.Block, Offset: first.doc.Offset, Token: first.token,
		Taken: p.taken}, true
}

// Next makes the next sequence. It pulls as many documents as its window takes. After an error of
// pull the packer is of no more use, except that at the end of the series (ErrEnd) it goes on until
// no piece is left, and then fails with ErrEnd.
func (p *BestFit) Next(pull func() (Document, error)) (Sequence, error) {
	if err := p.fill(pull); err != nil {
		return Sequence{}, err
	}
	s := newSequence(p.seqLen)
	filled := 0
	for i := p.oldest(); i >= 0; i = p.longest(p.seqLen + 1 - filled) {
		x := &p.window[i]
		s.Spans = append(s.Spans, Span{Block: x.doc.Block, File: x.doc.File, Start: x.doc.Start,
			Token: x.token, Count: len(x.tokens)})
		filled += copy(s.Tokens[filled:], x.tokens)
		p.held -= len(x.tokens)
		p.taken |= 1 << i
		x.tokens = nil
	}
	s.mark(true, filled)
	p.trim()
	return s, nil
}

// fill cuts pieces until the window is full, and sees to it that it holds one that is not taken.
func (p *BestFit) fill(pull func() (Document, error)) error {
	for !p.ended && len(p.window) < maxWindow && p.held < maxHeld*(p.seqLen+1) {
		err := p.cut(pull)
		if p.ended = errors.Is(err, ErrEnd); err != nil && !p.ended {
			return err
		}
		p.trim()
	}
	if p.held == 0 {
		return ErrEnd
	}
	return nil
}

// cut puts the next piece into the window.
func (p *BestFit) cut(pull func() (Document, error)) error {
	if p.token >= len(p.doc.Tokens) {
		doc, err := pull()
		if err != nil {
			return err
		}
		if len(doc.Tokens) == 0 {
			return errors.New("pack document: it has no tokens")
		}
		p.doc, p.token = doc, 0
		if at := p.resume; at != nil {
			if doc.Block != at.Block || doc.Offset != at.Offset || at.Token >= len(doc.Tokens) {
				return resumeError(*at, doc)
			}
			p.token, p.resume = at.Token, nil
		}
	}
	count := min(len(p.doc.Tokens)-p.token, p.seqLen+1)
	x := piece{doc: p.doc, token: p.token}
	x.doc.Tokens = nil
	if p.taken>>len(p.window)&1 == 0 {
		x.tokens = append([]int32(nil), p.doc.Tokens[p.token:p.token+count]...)
		p.held += count
	}
	p.window = append(p.window, x)
	if p.token += count; p.token < len(p.doc.Tokens) {
		p.token-- // the last token is the first of the document's next piece
	}
	return nil
}

// trim forgets taken pieces at the front of the window; the last one stays, to know the place.
func (p *BestFit) trim() {
	n := 0
	for n < len(p.window)-1 && p.taken>>n&1 == 1 {
		n++
	}
	p.taken >>= n
	p.window = p.window[:copy(p.window, p.window[n:])]
}

// oldest is the first piece that is not taken; after fill there is one.
func (p *BestFit) oldest() int {
	for i := range p.window {
		if p.window[i].tokens != nil {
			return i
		}
	}
	return -1
}

// longest is the longest piece that fits, the oldest of equals; -1: none does.
func (p *BestFit) longest(space int) int {
	best := -1
	for i := range p.window {
		n := len(p.window[i].tokens)
		if n > 0 && n <= space && (best < 0 || n > len(p.window[best].tokens)) {
			best = i
		}
	}
	return best
}

func resumeError(at Position, doc Document) error {
	return fmt.Errorf("resume at token %d of the record at byte (parquet: row) %d of block number "+
		"%d: found a record of %d tokens at %d of block number %d: the corpus or the tokenizer is "+
		"another one", at.Token, at.Offset, at.Block, len(doc.Tokens), doc.Offset, doc.Block)
}
