package pack

import (
	"errors"
)

// ErrEnd is what a pull function returns when the series has no further document.
var ErrEnd = errors.New("end of the series")

// Masked stands where an input has no target.
const Masked = -1

// Document is one document as tokens, its EOS included; never empty.
type Document struct {
	Block  uint64 // block number
	File   int    // index in the source
	Start  int64  // byte offset of the record in the file
	Offset int64  // byte offset of the record in its block
	Tokens []int32
}

// Position is a place in the series of documents: a token of a record of a block number.
type Position struct {
	Block  uint64
	Offset int64 // bytes from the start of the block to the record
	Token  int
	Taken  uint64 // BestFit only: which pieces from here on are taken, this one at bit 0
}

// Span is the part of a document that stands in a sequence, in the order of the sequence.
type Span struct {
	Block uint64
	File  int
	Start int64 // byte offset of the record in the file
	Token int   // first token, in the document
	Count int
}

// Sequence is one packed sequence. Tokens holds seq_len+1 ids, the others seq_len values each.
type Sequence struct {
	Tokens  []int32
	Pos     []int32 // position of each input
	First   []int32 // index of the first input that it may see
	Targets []int32 // Tokens shifted by one; Masked where it is not to be learnt
	Spans   []Span  // cover all seq_len+1 tokens but the padding
	Padding int     // inputs behind the last document: BestFit, and the end of a series
}

func newSequence(n int) Sequence {
	all := make([]int32, 4*n+1)
	return Sequence{
		Tokens: all[: n+1 : n+1], Pos: all[n+1 : 2*n+1 : 2*n+1],
		First: all[2*n+1 : 3*n+1 : 3*n+1], Targets: all[3*n+1:],
	}
}

// Packer cuts the series of one slot and source. Not safe for concurrent use.
type Packer struct {
	seqLen  int
	docMask bool
	doc     Document
	token   int // of doc: the first token of the next sequence
	resume  *Position
}

// New returns a Packer at the start of a series.
func New(seqLen int, docMask bool) *Packer {
	return &Packer{seqLen: seqLen, docMask: docMask}
}

// Resume returns a Packer that goes on at a position that another one was at. The first document
// pulled must be the one there.
func Resume(seqLen int, docMask bool, at Position) *Packer {
	return &Packer{seqLen: seqLen, docMask: docMask, token: at.Token, resume: &at}
}

// Position is where the next sequence starts; false before the first document of a new series.
func (p *Packer) Position() (Position, bool) {
	switch {
	case p.resume != nil:
		return *p.resume, true
	case len(p.doc.Tokens) == 0:
		return Position{}, false
	}
	return Position{Block: p.doc.Block, Offset: p.doc.Offset, Token: p.token}, true
}

// Next makes the next sequence. It calls pull for each further document it needs, and no longer
// refers to the tokens of the one before. After an error of pull the Packer is of no more use.
//
// A series that ends (ErrEnd) inside a sequence leaves the rest of it padded: token 0, no targets,
// invisible from before it. Next then fails with ErrEnd, as it does if not one target is left.
func (p *Packer) Next(pull func() (Document, error)) (Sequence, error) {
	n := p.seqLen
	s := newSequence(n)
	filled := 0
	for {
		if p.token >= len(p.doc.Tokens) || p.resume != nil {
			err := p.pull(pull)
			if errors.Is(err, ErrEnd) && filled > 1 {
				break
			}
			if err != nil {
				return Sequence{}, err
			}
		}
		count := copy(s.Tokens[filled:], p.doc.Tokens[p.token:])
		s.Spans = append(s.Spans, Span{
			Block: p.doc.Block, File: p.doc.File, Start: p.doc.Start, Token: p.token, Count: count,
		})
		filled += count
		p.token += count
		if filled > n {
			break
		}
	}
	s.mark(p.docMask, filled)
	if filled > n {
		p.token-- // the last token is the next sequence's first
	}
	return s, nil
}

// Restore is the sequence that a packer made of these tokens and spans; what they lack of seqLen+1
// tokens is padding.
func Restore(seqLen int, docMask bool, tokens []int32, spans []Span) Sequence {
	s := newSequence(seqLen)
	s.Spans = spans
	s.mark(docMask, copy(s.Tokens, tokens))
	return s
}

func (p *Packer) pull(pull func() (Document, error)) error {
	doc, err := pull()
	if err != nil {
		return err
	}
	if len(doc.Tokens) == 0 {
		return errors.New("pack document: it has no tokens")
	}
	if at := p.resume; at != nil {
		if doc.Block != at.Block || doc.Offset != at.Offset || at.Token >= len(doc.Tokens) {
			return resumeError(*at, doc)
		}
		p.doc, p.resume = doc, nil
		return nil
	}
	p.doc, p.token = doc, 0
	return nil
}

// pad masks what follows the last document: it sees itself alone, and the last token has no target.
func (s *Sequence) pad(filled int) {
	s.Padding = len(s.Targets) - filled
	for i := filled - 1; i < len(s.Targets); i++ {
		s.Targets[i] = Masked
	}
	for i := filled; i < len(s.Pos); i++ {
		s.Pos[i], s.First[i] = 0, int32(i)
	}
}

// mark fills Pos, First and Targets from Spans and Tokens, of which so many are there.
func (s *Sequence) mark(docMask bool, filled int) {
	s.show(docMask)
	if filled <= len(s.Targets) {
		s.pad(filled)
	}
}

// show says what each token sees, and what it has to say.
func (s *Sequence) show(docMask bool) {
	copy(s.Targets, s.Tokens[1:])
	if !docMask {
		for i := range s.Pos {
			s.Pos[i] = int32(i)
		}
		return // First is 0 everywhere
	}
	start := 0
	for _, span := range s.Spans {
		if start > 0 { // every span but the first starts a document
			s.Targets[start-1] = Masked
		}
		end := min(start+span.Count, len(s.Pos))
		pos := s.Pos[start:end]
		first := s.First[start:end][:len(pos)] // of a length the compiler knows: no checks inside
		for i := range pos {
			pos[i], first[i] = int32(i), int32(start)
		}
		start += span.Count
	}
}
