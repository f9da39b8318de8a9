package model

import (
	"fmt"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Model computes one micro-batch of one shape. It belongs to one goroutine, like its backend.
type Model struct {
	be    kernel.Backend
	d     sizes
	shape Shape
	opt   Options
	units []Unit

	floats, halves, ints kernel.Tensor // the allocations that buf is cut from

	buf      buffers
	in       Inputs
	visible  []int32 // host view of buf.visible
	programs map[programKey][]kernel.Op
	frozen   func(param string) bool // whose gradients are left out; nil: none

	forward  int         // units whose Forward is done
	backward int         // the unit whose Backward was last; len(units) before the first
	embGrad  kernel.Addr // tied: where the head left the embedding's gradient
}

// Inputs are host views of a micro-batch's input, each Batch*SeqLen long, row b*SeqLen + t. The
// caller fills them before Forward(0).
type Inputs struct {
	Tokens  []int32 // [0, V)
	Pos     []int32 // position inside the document, [0, T)
	First   []int32 // first position of the sequence that this one may see, [0, t]
	Targets []int32 // [0, V), or -1: not counted
}

// New allocates the activations for one shape. It fails on an invalid configuration or shape, and
// when the backend has not enough memory.
func New(cfg *pb.ModelConfig, s Shape, be kernel.Backend, opt Options) (*Model, error) {
	if err := Check(cfg); err != nil {
		return nil, err
	}
	opt, err := opt.resolved()
	if err != nil {
		return nil, fmt.Errorf("make model: %w", err)
	}
	if s.Batch < 1 || s.SeqLen < 1 || s.Batch > math.MaxInt32/s.SeqLen {
		return nil, fmt.Errorf("make model: micro-batch of %d sequences of %d: want both at least 1, "+
			"and fewer than 2^31 positions", s.Batch, s.SeqLen)
	}
	if s.SeqLen > int(cfg.MaxPositions) {
		return nil, fmt.Errorf("make model: seq_len is %d, but the model has "+
			"max_position_embeddings = %d", s.SeqLen, cfg.MaxPositions)
	}
	m := &Model{be: be, d: dims(cfg), shape: s, opt: opt, units: Units(cfg),
		programs: make(map[programKey][]kernel.Op)}
	m.backward = len(m.units)
	if err := m.alloc(cfg); err != nil {
		m.Close()
		return nil, fmt.Errorf("make model: %w", err)
	}
	return m, nil
}

func (m *Model) alloc(cfg *pb.ModelConfig) error {
	var mem memory
	carve(&mem, m.d, m.shape, m.opt)
	var err error
	if m.floats, err = m.be.Alloc(mem.floats.used, kernel.F32); err != nil {
		return fmt.Errorf("allocate activations: %w", err)
	}
	if m.ints, err = m.be.Alloc(mem.ints.used, kernel.I32); err != nil {
		return fmt.Errorf("allocate inputs: %w", err)
	}
	if mem.halves.used > 0 {
		if m.halves, err = m.be.Alloc(mem.halves.used, kernel.BF16); err != nil {
			return fmt.Errorf("allocate activations: %w", err)
		}
	}
	mem = memory{carver{base: m.floats}, carver{base: m.halves}, carver{base: m.ints}}
	m.buf = carve(&mem, m.d, m.shape, m.opt)
	cs := m.be.Host(m.buf.cs)
	m.in = Inputs{Tokens: m.be.HostInts(m.buf.tokens), Pos: m.be.HostInts(m.buf.pos),
		First: m.be.HostInts(m.buf.first), Targets: m.be.HostInts(m.buf.targets)}
	if cs == nil || m.in.Tokens == nil {
		return fmt.Errorf("backend %s has no host views", m.be.Name())
	}
	m.visible = m.be.HostInts(m.buf.visible)
	ropeTable(cs, m.shape.SeqLen, frequencies(cfg))
	return nil
}

// Close frees the model's memory. The backend stays open.
func (m *Model) Close() {
	for _, t := range []*kernel.Tensor{&m.floats, &m.halves, &m.ints} {
		if !t.IsZero() {
			m.be.Free(*t)
			*t = kernel.Tensor{}
		}
	}
}

// Inputs returns the host views; valid until Close.
func (m *Model) Inputs() Inputs { return m.in }

// Units lists the model's units. The caller must not change them.
func (m *Model) Units() []Unit { return m.units }

// Losses is the loss of each target in nats, Batch*SeqLen long, 0 where masked. It is a host view,
// written by Loss and by Backward of the last unit.
func (m *Model) Losses() []float32 { return m.be.Host(m.buf.losses) }

// Needs lists the units whose parameters a unit reads, itself first: a tied head also reads the
// embedding.
func (m *Model) Needs(unit int) []int {
	if m.d.tied && unit == len(m.units)-1 {
		return []int{unit, 0}
	}
	return []int{unit}
}

// takeInputs guards the ops' own preconditions, since they index memory by these values, and
// narrows what each position sees to the window.
func (m *Model) takeInputs() error {
	for r := range m.in.Tokens {
		t := int32(r % m.shape.SeqLen)
		tok, pos, first, target := m.in.Tokens[r], m.in.Pos[r], m.in.First[r], m.in.Targets[r]
		switch {
		case tok < 0 || int(tok) >= m.d.v:
			return fmt.Errorf("row %d: token %d is not in the vocabulary of %d", r, tok, m.d.v)
		case target < -1 || int(target) >= m.d.v:
			return fmt.Errorf("row %d: target %d is not in the vocabulary of %d", r, target, m.d.v)
		case pos < 0 || int(pos) >= m.shape.SeqLen:
			return fmt.Errorf("row %d: position %d is not below %d", r, pos, m.shape.SeqLen)
		case first < 0 || first > t:
			return fmt.Errorf("row %d: first visible position %d is not in [0,%d]", r, first, t)
		}
		if m.d.window > 0 {
			m.visible[r] = max(first, t-int32(m.d.window)+1)
		}
	}
	return nil
}

// checkTensors checks parameters or gradients against Needs.
func (m *Model) checkTensors(what string, dt kernel.DType, unit int, ts []kernel.Tensor) error {
	needs := m.Needs(unit)
	if len(ts) != len(needs) {
		return fmt.Errorf("have %d %s tensors, want %d", len(ts), what, len(needs))
	}
	for i, u := range needs {
		if ts[i].DType != dt || ts[i].Len != m.units[u].Size {
			return fmt.Errorf("%s of unit %s: have %d elements of dtype %d, want %d of dtype %d",
				what, m.units[u].Name, ts[i].Len, ts[i].DType, m.units[u].Size, dt)
		}
	}
	return nil
}
