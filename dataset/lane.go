package dataset

import (
	"context"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Span is the part of a record that stands in a sequence.
type Span = pack.Span

// Sequence is what one slot trains on in one step. L = seq_len.
type Sequence struct {
	Slot   Slot
	Source int // index in Corpus.Sources
	// Tokens are L+1 ids: the inputs are the first L.
	Tokens []int32
	// Pos, First, Targets have L values, one an input: its position, the index of the first input
	// it may see, and its target (-1 where masked).
	Pos, First, Targets []int32
	Padding             int    // inputs behind the last document
	TargetBytes         int64  // UTF-8 bytes of text that the unmasked targets stand for
	Spans               []Span // the ledger's record: where all of Tokens come from
	Digest              [32]byte
}

// packer makes sequences of documents; pack has two.
type packer interface {
	Next(pull func() (pack.Document, error)) (pack.Sequence, error)
	Position() (pack.Position, bool)
}

var _, _ packer = (*pack.Packer)(nil), (*pack.BestFit)(nil)

// lane is the series of one slot and source. One goroutine at a time uses it.
type lane interface {
	// next makes the lane's next sequence.
	next(ctx context.Context) (Sequence, error)
	// position is where the lane's next sequence starts.
	position() Position
	close()
}

var _, _ lane = (*readLane)(nil), (*stagedLane)(nil)

// readLane reads the blocks of its slot, one after another.
type readLane struct {
	slot   Slot
	index  int // of the source
	src    *source.Source
	cfg    *Config
	start  Position // where the lane was opened; its position until the first sequence
	reader *source.Reader
	packer packer
	buffer []int32 // tokens of the document in the packer
	held   int64   // bytes, as its hold has counted them
}

// newReadLane opens a lane at a position. It reads nothing yet.
func newReadLane(c *Config, slot Slot, index int, src *source.Source, at Position,
) (*readLane, error) {
	reader, err := src.Reader(int(slot), at.Block, at.Offset)
	if err != nil {
		return nil, err
	}
	l := &readLane{
		slot: slot, index: index, src: src, cfg: c, start: at, reader: reader,
	}
	l.packer = l.newPacker(at)
	return l, nil
}

// newPacker returns a packer that goes on at a position.
func (l *readLane) newPacker(at Position) packer {
	c := l.cfg
	// A lane that has given a sequence stands on a record; one that has not, on a block's start.
	begun := at.Offset > 0 || at.Token > 0 || at.Taken > 0
	switch {
	case c.Packing == pb.Packing_BEST_FIT && begun:
		return pack.ResumeBestFit(c.SeqLen, pack.Position(at))
	case c.Packing == pb.Packing_BEST_FIT:
		return pack.NewBestFit(c.SeqLen)
	case begun:
		return pack.Resume(c.SeqLen, c.DocMask, pack.Position(at))
	}
	return pack.New(c.SeqLen, c.DocMask)
}

// reopen lets go of all that the lane holds. It goes on at its position, as one that is resumed.
func (l *readLane) reopen() error {
	at := l.position()
	reader, err := l.src.Reader(int(l.slot), at.Block, at.Offset)
	if err != nil {
		return fmt.Errorf("slot %d: %w", l.slot, err)
	}
	l.reader.Close()
	l.reader, l.start, l.buffer, l.packer = reader, at, nil, l.newPacker(at)
	return nil
}

func (l *readLane) position() Position {
	if at, ok := l.packer.Position(); ok {
		return Position(at)
	}
	return l.start
}

func (l *readLane) next(ctx context.Context) (Sequence, error) {
	packed, err := l.packer.Next(func() (pack.Document, error) { return l.document(ctx) })
	if err != nil {
		return Sequence{}, fmt.Errorf("slot %d: %w", l.slot, err)
	}
	return l.cfg.sequence(l.slot, l.index, packed), nil
}

// close gives back what an open block holds.
func (l *readLane) close() { l.reader.Close() }

// sequence is a packed sequence with where it belongs, its bytes and its digest.
func (c *Config) sequence(slot Slot, source int, packed pack.Sequence) Sequence {
	s := Sequence{
		Slot: slot, Source: source, Tokens: packed.Tokens, Pos: packed.Pos,
		First: packed.First, Targets: packed.Targets, Spans: packed.Spans, Padding: packed.Padding,
		Digest: sequenceDigest(slot, source, packed.Spans, packed.Tokens),
	}
	for _, id := range s.Targets {
		if id != pack.Masked {
			s.TargetBytes += int64(c.Tokenizer.TokenBytes(id))
		}
	}
	if n := c.Tokenizer.StartBytes(); n > 0 {
		s.TargetBytes -= int64(n * c.texts(&s))
	}
	return s
}

// texts is how many documents have the first token of their text among a sequence's targets.
func (c *Config) texts(s *Sequence) (n int) {
	first := 0 // in a document
	if c.BOS {
		first = 1
	}
	at := 0
	for _, span := range s.Spans {
		i := at + first - span.Token
		if span.Token <= first && first < span.Token+span.Count && i > 0 &&
			s.Targets[i-1] != pack.Masked && c.Tokenizer.TokenBytes(s.Tokens[i]) > 0 {
			n++
		}
		at += span.Count
	}
	return n
}

// keepTokens is the largest token buffer that outlives the document that needed it.
const keepTokens = 1 << 18

// document reads and tokenizes the next record. Its tokens are valid until the next call.
func (l *readLane) document(ctx context.Context) (pack.Document, error) {
	doc, err := l.reader.Next(ctx)
	if errors.Is(err, source.ErrExhausted) && l.src.Once() {
		return pack.Document{}, pack.ErrEnd
	}
	if err != nil {
		return pack.Document{}, err
	}
	if cap(l.buffer) > keepTokens {
		l.buffer = nil
	}
	l.buffer = l.cfg.tokens(l.buffer[:0], doc.Text)
	return pack.Document{
		Block: doc.Block, File: doc.File, Start: doc.Start, Offset: doc.Offset, Tokens: l.buffer,
	}, nil
}
