package probe

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/banyan-train/banyan/worker/model"
)

// Document is one record of a file.
type Document struct {
	IDs   []int32
	Bytes int // of its text, in UTF-8; 0 if the record has only ids
}

// Documents yields documents one by one, and io.EOF after the last.
type Documents interface {
	Next() (Document, error)
}

// Result is the loss over a file.
type Result struct {
	Loss         float64  `json:"loss"`    // nats per target
	Targets      int64    `json:"targets"` // tokens that were predicted
	Perplexity   float64  `json:"perplexity"`
	BitsPerByte  *float64 `json:"bits_per_byte"` // null if any record had only ids
	Bytes        int64    `json:"bytes"`
	Documents    int64    `json:"documents"`
	WindowTokens int      `json:"seq_len"`
}

// defaultWindow is the length of windows where none is asked for, if the model reaches so far.
const defaultWindow = 1024

// rowsAtOnce is how many positions one pass computes, at least one row.
const rowsAtOnce = 2048

// Loss computes the mean loss over documents, as doc.go defines it. seqLen 0 means 1024, or
// max_position_embeddings if that is less.
func (m *Model) Loss(docs Documents, seqLen int) (Result, error) {
	limit := int(m.cfg.MaxPositions)
	if seqLen == 0 {
		seqLen = min(defaultWindow, limit)
	}
	if seqLen < 1 || seqLen > limit {
		return Result{}, fmt.Errorf("compute loss: seq_len is %d, want 1 to %d, the model's "+
			"max_position_embeddings", seqLen, limit)
	}
	shape := model.Shape{Batch: max(1, rowsAtOnce/seqLen), SeqLen: seqLen}
	mm, err := model.New(m.cfg, shape, m.be, m.opt)
	if err != nil {
		return Result{}, fmt.Errorf("compute loss: %w", err)
	}
	defer mm.Close()
	p := pass{m: m, mm: mm, in: mm.Inputs(), shape: shape}
	p.clear()
	if err := p.all(docs); err != nil {
		return Result{}, fmt.Errorf("compute loss: %w", err)
	}
	return p.result()
}

// pass fills micro-batches with windows and adds up their losses.
type pass struct {
	m     *Model
	mm    *model.Model
	in    model.Inputs
	shape model.Shape

	row, used int // the next window goes to this row, after this many positions
	sum       float64
	targets   int64
	bytes     int64
	documents int64
	ids       bool // some document came without text
}

func (p *pass) all(docs Documents) error {
	for {
		d, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return p.run()
		} else if err != nil {
			return err
		}
		p.documents++
		p.bytes += int64(d.Bytes)
		p.ids = p.ids || d.Bytes == 0 && len(d.IDs) > 0
		if len(d.IDs) == 0 {
			continue // an empty text predicts nothing
		}
		if err := p.m.check(d.IDs); err != nil {
			return fmt.Errorf("document %d: %w", p.documents, err)
		}
		for lo := 0; lo < len(d.IDs)-1; lo += p.shape.SeqLen {
			hi := min(lo+p.shape.SeqLen, len(d.IDs)-1)
			if err := p.add(d.IDs[lo : hi+1]); err != nil {
				return err
			}
		}
	}
}

// add places a window: len(ids)-1 inputs, each with its successor as target.
func (p *pass) add(ids []int32) error {
	n := len(ids) - 1
	if p.used+n > p.shape.SeqLen {
		p.row, p.used = p.row+1, 0
	}
	if p.row == p.shape.Batch {
		if err := p.run(); err != nil {
			return err
		}
	}
	at := p.row*p.shape.SeqLen + p.used
	for i := range n {
		p.in.Tokens[at+i], p.in.Targets[at+i] = ids[i], ids[i+1]
		p.in.Pos[at+i], p.in.First[at+i] = int32(i), int32(p.used)
	}
	p.used += n
	p.targets += int64(n)
	return nil
}

// run computes what is there and starts a new micro-batch.
func (p *pass) run() error {
	if p.row == 0 && p.used == 0 {
		return nil
	}
	if err := p.m.forward(p.mm); err != nil {
		return err
	}
	if err := p.mm.Loss(p.m.head(p.mm)); err != nil {
		return err
	}
	for i, loss := range p.mm.Losses() {
		if p.in.Targets[i] >= 0 {
			p.sum += float64(loss)
		}
	}
	p.clear()
	return nil
}

// clear makes every position a document of its own without a target.
func (p *pass) clear() {
	for i := range p.in.Tokens {
		p.in.Tokens[i], p.in.Targets[i], p.in.Pos[i] = 0, -1, 0
		p.in.First[i] = int32(i % p.shape.SeqLen)
	}
	p.row, p.used = 0, 0
}

func (p *pass) result() (Result, error) {
	if p.targets == 0 {
		return Result{}, fmt.Errorf("compute loss: no targets in %d documents; want at least one "+
			"of two tokens", p.documents)
	}
	r := Result{Loss: p.sum / float64(p.targets), Targets: p.targets, Bytes: p.bytes,
		Documents: p.documents, WindowTokens: p.shape.SeqLen}
	r.Perplexity = math.Exp(r.Loss)
	if math.IsNaN(r.Loss) || math.IsInf(r.Perplexity, 0) {
		return Result{}, fmt.Errorf("compute loss: it is %v, which is no model's", r.Loss)
	}
	if !p.ids && p.bytes > 0 {
		bits := p.sum / math.Ln2 / float64(p.bytes)
		r.BitsPerByte = &bits
	}
	return r, nil
}
