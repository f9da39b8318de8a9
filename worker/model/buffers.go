package model

import (
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Shape is the fixed shape of a micro-batch.
type Shape struct {
	Batch  int // sequences
	SeqLen int // positions of each
}

func (s Shape) rows() int { return s.Batch * s.SeqLen }

// headRows is the number of rows whose logits exist at a time. It is fixed: the head's gradient is
// summed chunk by chunk, so another value gives other bits. A chunk reads and writes an element of
// that gradient once, 8 bytes for 2*headRows operations: with fewer rows, fast matrix units wait
// for memory; more rows only take more of it (4 bytes a logit, 6 in BF16).
const headRows = 1024

// block holds what a block's forward pass leaves for its backward pass. Its tensors are its own or
// shared with the other blocks, as the recomputation wants; x is always its own.
type block struct {
	x kernel.Tensor // [R,C] F32: input

	recipe // what is computed again with Recompute attention
	result // what is computed again with Recompute full only
}

// recipe is cheap to compute from x and result, without the attention.
type recipe struct {
	rstd1, h1    kernel.Tensor // [R], [R,C] first norm
	q0, k0       kernel.Tensor // like q and k, before their norms; zero without
	rstdQ, rstdK kernel.Tensor // [R,H], [R,K]
	q, k, v      kernel.Tensor // [R,H,D], [R,K,D] twice; q and k rotated
	rstd2, h2    kernel.Tensor // [R], [R,C] second norm
	ff           kernel.Tensor // [R,F]; the backward pass overwrites it by its gradient
}

type result struct {
	y, lse   kernel.Tensor // [R,H,D], [B,H,T] attention
	mid      kernel.Tensor // [R,C] F32: x + attention
	gate, up kernel.Tensor // [R,F]; the backward pass overwrites them by their gradients
}

// buffers is all device memory of a model, parameters and gradients excepted. The residual, its
// gradient, what norms and softmax save, logits and losses are F32; all else has the precision.
type buffers struct {
	cs             kernel.Tensor // [T,D] F32: rope table
	blocks         []block
	out, rstd      kernel.Tensor // [R,C] F32 output of the last block; [R] final norm
	losses         kernel.Tensor // [R]
	dx, dh         kernel.Tensor // [R,C] F32 gradient of the residual; of an input of products
	h              kernel.Tensor // [R,C] final norm; for the head only, as the next two
	logits         kernel.Tensor // [min(R,headRows),V] F32
	dlogits        kernel.Tensor // like logits, in the precision; in F32 they are one
	dq, dk, dv, dy kernel.Tensor // like q, k, v, y; in the same memory as h, logits and dlogits

	tokens, pos, first, targets kernel.Tensor // int32 [R]
	visible                     kernel.Tensor // int32 [R]: first, or later for the window
}

// carver hands out slices of one allocation. With a zero base it only counts.
type carver struct {
	base kernel.Tensor
	used int
}

func (c *carver) take(n int) kernel.Tensor {
	const align = 32 // elements: at least 64 bytes
	lo := c.used
	c.used += (n + align - 1) / align * align
	if c.base.IsZero() {
		return kernel.Tensor{}
	}
	return c.base.Slice(lo, lo+n)
}

// memory is what the buffers are cut from. halves is not used in F32.
type memory struct{ floats, halves, ints carver }

// overlap lets a and b cut from the same place: for tensors that are never needed together.
func (m *memory) overlap(a, b func()) {
	floats, halves := m.floats.used, m.halves.used
	a()
	afterA := *m
	m.floats.used, m.halves.used = floats, halves
	b()
	m.floats.used = max(m.floats.used, afterA.floats.used)
	m.halves.used = max(m.halves.used, afterA.halves.used)
}

func carve(mem *memory, d sizes, s Shape, opt Options) buffers {
	r, f := s.rows(), mem.floats.take
	half := opt.Precision == kernel.BF16
	act := f // activations
	if half {
		act = mem.halves.take
	}
	cut := carving{d: d, s: s, f: f, act: act}
	b := buffers{cs: f(s.SeqLen * d.d), blocks: make([]block, d.layers)}
	var shared block
	if opt.Recompute >= pb.Recompute_ATTENTION {
		shared.recipe = cut.recipe()
	}
	if opt.Recompute == pb.Recompute_FULL {
		shared.result = cut.result()
	}
	for i := range b.blocks {
		b.blocks[i] = shared
		b.blocks[i].x = f(r * d.c)
		if opt.Recompute < pb.Recompute_ATTENTION {
			b.blocks[i].recipe = cut.recipe()
		}
		if opt.Recompute < pb.Recompute_FULL {
			b.blocks[i].result = cut.result()
		}
	}
	b.out, b.rstd, b.losses = f(r*d.c), f(r), f(r)
	b.dx, b.dh = f(r*d.c), act(r*d.c)
	mem.overlap(func() { // the head is done when the blocks' gradients begin
		b.h, b.logits = act(r*d.c), f(min(r, headRows)*d.v)
		b.dlogits = b.logits
		if half {
			b.dlogits = act(min(r, headRows) * d.v)
		}
	}, func() {
		qn, kn := r*d.h*d.d, r*d.k*d.d
		b.dq, b.dk, b.dv, b.dy = act(qn), act(kn), act(kn), act(qn)
	})
	ints := mem.ints.take
	b.tokens, b.pos, b.first, b.targets = ints(r), ints(r), ints(r), ints(r)
	b.visible = b.first
	if d.window > 0 {
		b.visible = ints(r)
	}
	return b
}

// carving cuts the parts of a block: F32 by f, activations by act.
type carving struct {
	d      sizes
	s      Shape
	f, act func(n int) kernel.Tensor
}

func (c carving) recipe() recipe {
	d, r := c.d, c.s.rows()
	qn, kn := r*d.h*d.d, r*d.k*d.d
	p := recipe{rstd1: c.f(r), h1: c.act(r * d.c), q: c.act(qn), k: c.act(kn), v: c.act(kn),
		rstd2: c.f(r), h2: c.act(r * d.c), ff: c.act(r * d.f)}
	if d.qkNorm {
		p.q0, p.k0, p.rstdQ, p.rstdK = c.act(qn), c.act(kn), c.f(r*d.h), c.f(r*d.k)
	}
	return p
}

func (c carving) result() result {
	d, r := c.d, c.s.rows()
	return result{y: c.act(r * d.h * d.d), lse: c.f(c.s.Batch * d.h * c.s.SeqLen),
		mid: c.f(r * d.c), gate: c.act(r * d.f), up: c.act(r * d.f)}
}

// output is where block i's result goes: the next block's input.
func (b *buffers) output(i int) kernel.Tensor {
	if i+1 < len(b.blocks) {
		return b.blocks[i+1].x
	}
	return b.out
}

// MemoryBytes is the device memory that New allocates for activations and inputs, in bytes.
// The configuration and shape must be valid; options that New refuses count as their zero value.
func MemoryBytes(cfg *pb.ModelConfig, s Shape, opt Options) int64 {
	opt, err := opt.resolved()
	if err != nil {
		opt, _ = Options{}.resolved()
	}
	var mem memory
	carve(&mem, dims(cfg), s, opt)
	return 4*int64(mem.floats.used+mem.ints.used) + 2*int64(mem.halves.used)
}
