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
// summed chunk by chunk, so another value gives other bits.
const headRows = 256

// block holds what a block's forward pass leaves for its backward pass.
type block struct {
	x            kernel.Tensor // [R,C] input
	rstd1, h1    kernel.Tensor // [R], [R,C] first norm
	q, k, v      kernel.Tensor // [R,H,D], [R,K,D] twice; q and k rotated
	y, lse       kernel.Tensor // [R,H,D], [B,H,T] attention
	mid          kernel.Tensor // [R,C] x + attention
	rstd2, h2    kernel.Tensor // [R], [R,C] second norm
	gate, up, ff kernel.Tensor // [R,F]; the backward pass overwrites gate and up by their gradients
}

// buffers is all device memory of a model, parameters and gradients excepted.
type buffers struct {
	cs                  kernel.Tensor // [T,D] rope table
	blocks              []block
	out, rstd, h        kernel.Tensor // [R,C] output of the last block; [R], [R,C] final norm
	logits, losses      kernel.Tensor // [min(R,headRows),V], [R]
	dx, dh              kernel.Tensor // [R,C] gradient of the residual; of a norm's or head's input
	dq, dk, dv, dy, dff kernel.Tensor // like q, k, v, y, ff

	tokens, pos, first, targets kernel.Tensor // int32 [R]
}

// carver hands out slices of one allocation. With a zero base it only counts.
type carver struct {
	base kernel.Tensor
	used int
}

func (c *carver) take(n int) kernel.Tensor {
	const align = 16 // elements: 64 bytes
	lo := c.used
	c.used += (n + align - 1) / align * align
	if c.base.IsZero() {
		return kernel.Tensor{}
	}
	return c.base.Slice(lo, lo+n)
}

func carve(floats, ints *carver, d sizes, s Shape) buffers {
	r, f := s.rows(), floats.take
	qn, kn := r*d.h*d.d, r*d.k*d.d
	b := buffers{cs: f(s.SeqLen * d.d), blocks: make([]block, d.layers)}
	for i := range b.blocks {
		b.blocks[i] = block{
			x: f(r * d.c), rstd1: f(r), h1: f(r * d.c),
			q: f(qn), k: f(kn), v: f(kn), y: f(qn), lse: f(s.Batch * d.h * s.SeqLen),
			mid: f(r * d.c), rstd2: f(r), h2: f(r * d.c),
			gate: f(r * d.f), up: f(r * d.f), ff: f(r * d.f),
		}
	}
	b.out, b.rstd, b.h = f(r*d.c), f(r), f(r*d.c)
	b.logits, b.losses = f(min(r, headRows)*d.v), f(r)
	b.dx, b.dh = f(r*d.c), f(r*d.c)
	b.dq, b.dk, b.dv, b.dy, b.dff = f(qn), f(kn), f(kn), f(qn), f(r*d.f)
	b.tokens, b.pos = ints.take(r), ints.take(r)
	b.first, b.targets = ints.take(r), ints.take(r)
	return b
}

// output is where block i's result goes: the next block's input.
func (b *buffers) output(i int) kernel.Tensor {
	if i+1 < len(b.blocks) {
		return b.blocks[i+1].x
	}
	return b.out
}

// MemoryBytes is the device memory that New allocates for activations and inputs, in bytes.
// The configuration and shape must be valid.
func MemoryBytes(cfg *pb.ModelConfig, s Shape, opt Options) int64 {
	var floats, ints carver
	carve(&floats, &ints, dims(cfg), s)
	return 4 * int64(floats.used+ints.used)
}
