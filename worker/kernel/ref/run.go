package ref

import (
	"errors"
	"fmt"
	"math"

	"github.com/banyan-train/banyan/worker/kernel"
)

// Run executes the ops in order.
func (b *Backend) Run(ops []kernel.Op) error {
	for i := range ops {
		if err := b.runOne(&ops[i]); err != nil {
			return fmt.Errorf("run op %d (code %d): %w", i, ops[i].Code, err)
		}
	}
	return nil
}

func (b *Backend) runOne(op *kernel.Op) error {
	o := &operands{b: b, op: op}
	switch op.Code {
	case kernel.OpFill, kernel.OpCopy, kernel.OpAdd, kernel.OpScale, kernel.OpSumSquares,
		kernel.OpAdamW, kernel.OpSwiGLU, kernel.OpSwiGLUGrad:
		return runElementwise(o)
	case kernel.OpMatmul, kernel.OpEmbed, kernel.OpEmbedGrad, kernel.OpRMSNorm,
		kernel.OpRMSNormGrad, kernel.OpSumRows, kernel.OpRope, kernel.OpCrossEntropy:
		return runRows(o)
	case kernel.OpAttention, kernel.OpAttentionGrad:
		return runAttention(o)
	}
	return errors.New("unknown op code")
}

// operands resolves the operands of one op; the first failure is kept in err.
type operands struct {
	b    *Backend
	op   *kernel.Op
	err  error
	half []widened
}

// widened is a BF16 operand as floats. What the op changes is rounded and stored when it is done;
// what it only reads is left alone, since it may be the same memory as an output.
type widened struct {
	stored []uint16
	before []float32
	floats []float32
}

func (o *operands) n(i int) int { return int(o.op.N[i]) }

func (o *operands) x(i int) float64 { return float64(o.op.X[i]) }

func (o *operands) f(i, n int) []float32 {
	if o.op.Half(i) {
		return o.widen(i, n)
	}
	s, err := o.b.floats(o.op.P[i], n)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("operand %d: %w", i, err)
	}
	return s
}

func (o *operands) widen(i, n int) []float32 {
	stored, err := o.b.halves(o.op.P[i], n)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("operand %d: %w", i, err)
	}
	w := widened{stored, make([]float32, n), make([]float32, n)}
	for j, h := range stored {
		w.before[j], w.floats[j] = kernel.FromBF16(h), kernel.FromBF16(h)
	}
	o.half = append(o.half, w)
	return w.floats
}

func (w widened) store() {
	for j, x := range w.floats {
		if math.Float32bits(x) != math.Float32bits(w.before[j]) {
			w.stored[j] = kernel.ToBF16(x)
		}
	}
}

// optional is f of an operand that may be absent: nil then.
func (o *operands) optional(i, n int) []float32 {
	if o.op.P[i] == 0 {
		return nil
	}
	return o.f(i, n)
}

func (o *operands) i(i, n int) []int32 {
	s, err := o.b.ints(o.op.P[i], n)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("operand %d: %w", i, err)
	}
	return s
}

// ids is i with every element checked to be below limit, and not negative unless masked is set.
func (o *operands) ids(i, n, limit int, masked bool) []int32 {
	s := o.i(i, n)
	for r, id := range s {
		if o.err == nil && (int(id) >= limit || (id < 0 && !masked)) {
			o.err = fmt.Errorf("index %d at row %d: outside [0,%d)", id, r, limit)
		}
	}
	return s
}

// do runs f if every operand was found.
func (o *operands) do(f func()) error {
	if o.err == nil {
		f()
		for _, w := range o.half {
			w.store()
		}
	}
	return o.err
}

func runElementwise(o *operands) error {
	n := o.n(0)
	switch o.op.Code {
	case kernel.OpFill:
		y := o.f(0, n)
		return o.do(func() { Fill(y, o.x(0)) })
	case kernel.OpCopy:
		y, x := o.f(0, n), o.f(1, n)
		return o.do(func() { copy(y, x) })
	case kernel.OpAdd:
		y, a, b := o.f(0, n), o.f(1, n), o.f(2, n)
		return o.do(func() { Add(y, a, b) })
	case kernel.OpScale:
		y, x := o.f(0, n), o.f(1, n)
		return o.do(func() { Scale(y, x, o.x(0)) })
	case kernel.OpSwiGLU:
		y, g, u := o.f(0, n), o.f(1, n), o.f(2, n)
		return o.do(func() { SwiGLU(y, g, u) })
	case kernel.OpSwiGLUGrad:
		dg, du, dy, g, u := o.f(0, n), o.f(1, n), o.f(2, n), o.f(3, n), o.f(4, n)
		return o.do(func() { SwiGLUGrad(dg, du, dy, g, u) })
	case kernel.OpSumSquares:
		chunk := o.n(1)
		if chunk <= 0 {
			return fmt.Errorf("chunk %d: not positive", chunk)
		}
		sums, x := o.f(0, (n+chunk-1)/chunk), o.f(1, n)
		return o.do(func() { SumSquares(sums, x, chunk) })
	}
	p, m, v, g := o.f(0, n), o.f(1, n), o.f(2, n), o.f(3, n)
	half := o.optional(4, n)
	return o.do(func() {
		defer func() { copy(half, p) }()
		AdamW(p, m, v, g, kernel.AdamWStep{LR: o.op.X[0], Beta1: o.op.X[1], Beta2: o.op.X[2],
			Eps: o.op.X[3], WeightDecay: o.op.X[4], Correction1: o.op.X[5],
			Correction2: o.op.X[6], GradScale: o.op.X[7]})
	})
}

func runRows(o *operands) error {
	rows, c := o.n(0), o.n(1)
	switch o.op.Code {
	case kernel.OpMatmul:
		m, n, k := o.n(0), o.n(1), o.n(2)
		cc, a, b := o.f(0, m*n), o.f(1, m*k), o.f(2, k*n)
		add, bias := o.optional(3, m*n), o.optional(4, n)
		flag := o.op.Flag
		return o.do(func() {
			Matmul(cc, a, b, bias, add, m, n, k, flag&1 != 0, flag&2 != 0, flag&4 != 0)
		})
	case kernel.OpSumRows:
		y, x := o.f(0, c), o.f(1, rows*c)
		return o.do(func() { SumRows(y, x, rows) })
	case kernel.OpEmbed:
		v := o.n(2)
		y, table, ids := o.f(0, rows*c), o.f(1, v*c), o.ids(2, rows, v, false)
		return o.do(func() { Embed(y, table, ids, c) })
	case kernel.OpEmbedGrad:
		v := o.n(2)
		dtable, dy, ids := o.f(0, v*c), o.f(1, rows*c), o.ids(2, rows, v, false)
		return o.do(func() { EmbedGrad(dtable, dy, ids, c) })
	case kernel.OpRMSNorm:
		y, rstd, x, w := o.f(0, rows*c), o.f(1, rows), o.f(2, rows*c), o.f(3, c)
		return o.do(func() { RMSNorm(y, rstd, x, w, o.x(0)) })
	case kernel.OpRMSNormGrad:
		dx, dw, dy := o.f(0, rows*c), o.f(1, c), o.f(2, rows*c)
		x, w, rstd := o.f(3, rows*c), o.f(4, c), o.f(5, rows)
		return o.do(func() { RMSNormGrad(dx, dw, dy, x, w, rstd, o.op.Flag&1 != 0) })
	case kernel.OpRope:
		heads, d, positions := o.n(1), o.n(2), o.n(3)
		x, pos := o.f(0, rows*heads*d), o.ids(1, rows, positions, false)
		cs := o.f(2, positions*d)
		return o.do(func() { Rope(x, pos, cs, heads, d, o.op.Flag&1 != 0) })
	}
	loss, logits, targets := o.f(0, rows), o.f(1, rows*c), o.ids(2, rows, c, true)
	grad := o.f(3, rows*c)
	return o.do(func() { CrossEntropy(loss, logits, grad, targets, c) })
}

func runAttention(o *operands) error {
	s := AttentionShape{B: o.n(0), T: o.n(1), H: o.n(2), K: o.n(3), D: o.n(4), Scale: o.x(0)}
	if s.K <= 0 || s.H%s.K != 0 {
		return fmt.Errorf("%d heads over %d kv heads", s.H, s.K)
	}
	qn, kn, rn := s.B*s.T*s.H*s.D, s.B*s.T*s.K*s.D, s.B*s.H*s.T
	if o.op.Code == kernel.OpAttention {
		y, lse, q, k, v := o.f(0, qn), o.f(1, rn), o.f(2, qn), o.f(3, kn), o.f(4, kn)
		first := o.ids(5, s.B*s.T, s.T, false)
		return o.do(func() { Attention(y, lse, q, k, v, first, s) })
	}
	dq, dk, dv := o.f(0, qn), o.f(1, kn), o.f(2, kn)
	dy, y, lse := o.f(3, qn), o.f(4, qn), o.f(5, rn)
	q, k, v, first := o.f(6, qn), o.f(7, kn), o.f(8, kn), o.ids(9, s.B*s.T, s.T, false)
	return o.do(func() { AttentionGrad(dq, dk, dv, dy, y, lse, q, k, v, first, s) })
}
