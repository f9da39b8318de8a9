package cpu

import (
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/ref"
)

// The gradient checks: what the kernels return against central finite differences of the twin's
// forward function in float64. Nothing of the twin's own gradients is used.

const (
	fdStep      = 1e-5
	fdTolerance = 1e-5 // single precision at these sizes
)

// wide is a copy of an operand in float64: the point at which the differences are taken.
func wide(be kernel.Backend, t kernel.Tensor) []float64 {
	x := make([]float64, t.Len)
	for i, v := range be.Host(t) {
		x[i] = float64(v)
	}
	return x
}

func differences(x []float64, loss func() float64) []float32 {
	d := make([]float32, len(x))
	for i, old := range x {
		x[i] = old + fdStep
		up := loss()
		x[i] = old - fdStep
		d[i] = float32((up - loss()) / (2 * fdStep))
		x[i] = old
	}
	return d
}

// against makes the loss function sum(dy * forward()), whose gradient is what the kernels return.
func against(dy, y []float64, forward func()) func() float64 {
	return func() float64 {
		forward()
		var sum float64
		for i := range y {
			sum += dy[i] * y[i]
		}
		return sum
	}
}

// gradient is one check: run puts gradients into the tensors of got, x are the points, in order.
type gradient struct {
	op   []kernel.Op
	got  []kernel.Tensor
	x    [][]float64
	loss func() float64
}

func gradients(c *call) map[string]gradient {
	return map[string]gradient{
		"matmul": matmulGradient(c), "embed": embedGradient(c), "rms norm": normGradient(c),
		"rope": ropeGradient(c), "swiglu": swigluGradient(c), "cross entropy": lossGradient(c),
		"attention":              attentionGradient(c, attentionSize{1, 7, 4, 2, 5}),
		"attention of two tiles": attentionGradient(c, attentionSize{1, 67, 2, 1, 3}),
	}
}

func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	for _, isa := range Classes() {
		c := &call{be: open(t, isa, 2), rng: newRand(11)}
		for name, g := range gradients(c) {
			if c.failed != nil {
				t.Fatal(c.failed)
			}
			if err := c.be.Run(g.op); err != nil {
				t.Fatal(err)
			}
			for i, x := range g.x {
				want := differences(x, g.loss)
				if err := near(c.be.Host(g.got[i]), want, fdTolerance); err != nil {
					t.Errorf("%s, %s, gradient %d: %v", isa, name, i, err)
				}
			}
		}
	}
}

func matmulGradient(c *call) gradient {
	const m, n, k = 5, 9, 7
	x, w, dy := c.in(m*k), c.in(n*k), c.in(m*n)
	dx, dw := c.fresh("dx", m*k), c.fresh("dw", n*k)
	x64, w64, y := wide(c.be, x), wide(c.be, w), make([]float64, m*n)
	return gradient{
		op: []kernel.Op{kernel.Matmul(dx, dy, w, m, k, n, kernel.MatmulOptions{}),
			kernel.Matmul(dw, dy, x, n, k, m, kernel.MatmulOptions{TransA: true})},
		got: []kernel.Tensor{dx, dw}, x: [][]float64{x64, w64},
		loss: against(wide(c.be, dy), y, func() {
			ref.Matmul(y, x64, w64, nil, nil, m, n, k, false, true, false)
		})}
}

func embedGradient(c *call) gradient {
	const r, w, v = 9, 5, 4
	table, dy, ids := c.in(v*w), c.in(r*w), c.indices(r, 0, v)
	dtable := c.alloc(v*w, kernel.F32)
	t64, y := wide(c.be, table), make([]float64, r*w)
	return gradient{op: []kernel.Op{kernel.EmbedGrad(dtable, dy, ids, r, w, v)},
		got: []kernel.Tensor{dtable}, x: [][]float64{t64},
		loss: against(wide(c.be, dy), y, func() { ref.Embed(y, t64, c.be.HostInts(ids), w) })}
}

func normGradient(c *call) gradient {
	const r, w, eps = 5, 37, 1e-3
	x, g, dy := c.in(r*w), c.in(w), c.in(r*w)
	y, rstd := c.fresh("y", r*w), c.fresh("rstd", r)
	dx, dw := c.alloc(r*w, kernel.F32), c.fresh("dw", w)
	x64, g64 := wide(c.be, x), wide(c.be, g)
	y64, rstd64 := make([]float64, r*w), make([]float64, r)
	return gradient{
		op: []kernel.Op{kernel.RMSNorm(y, rstd, x, g, r, w, eps),
			kernel.RMSNormGrad(dx, dw, dy, x, g, rstd, r, w, true)},
		got: []kernel.Tensor{dx, dw}, x: [][]float64{x64, g64},
		loss: against(wide(c.be, dy), y64, func() { ref.RMSNorm(y64, rstd64, x64, g64, eps) })}
}

func ropeGradient(c *call) gradient {
	const r, h, d, p = 5, 2, 6, 4
	x, dy, cs, pos := c.in(r*h*d), c.in(r*h*d), c.in(p*d), c.indices(r, 0, p)
	x64, dy64, y := wide(c.be, x), wide(c.be, dy), make([]float64, r*h*d)
	cs64 := wide(c.be, cs)
	return gradient{op: []kernel.Op{kernel.Rope(dy, pos, cs, r, h, d, p, true)},
		got: []kernel.Tensor{dy}, x: [][]float64{x64},
		loss: against(dy64, y, func() {
			copy(y, x64)
			ref.Rope(y, c.be.HostInts(pos), cs64, h, d, false)
		})}
}

func swigluGradient(c *call) gradient {
	const n = 53
	g, u, dy, dg, du := c.in(n), c.in(n), c.in(n), c.fresh("dg", n), c.fresh("du", n)
	g64, u64, y := wide(c.be, g), wide(c.be, u), make([]float64, n)
	return gradient{op: []kernel.Op{kernel.SwiGLUGrad(dg, du, dy, g, u)},
		got: []kernel.Tensor{dg, du}, x: [][]float64{g64, u64},
		loss: against(wide(c.be, dy), y, func() { ref.SwiGLU(y, g64, u64) })}
}

func lossGradient(c *call) gradient {
	const r, v = 6, 21
	logits, loss, targets := c.in(r*v), c.fresh("loss", r), c.indices(r, -1, v)
	c.be.HostInts(targets)[2] = -1
	x, work, losses := wide(c.be, logits), make([]float64, r*v), make([]float64, r)
	ones := []float64{1, 1, 1, 1, 1, 1}
	return gradient{op: []kernel.Op{kernel.CrossEntropy(loss, logits, logits, targets, r, v)},
		got: []kernel.Tensor{logits}, x: [][]float64{x},
		loss: against(ones, losses, func() {
			copy(work, x)
			ref.CrossEntropy(losses, work, work, c.be.HostInts(targets), v)
		})}
}

func attentionGradient(c *call, s attentionSize) gradient {
	qn, kn := s.b*s.t*s.h*s.d, s.b*s.t*s.kv*s.d
	a := kernel.AttentionTensors{DQ: c.fresh("dq", qn), DK: c.fresh("dk", kn),
		DV: c.fresh("dv", kn), DY: c.in(qn), Y: c.fresh("y", qn), LSE: c.fresh("lse", s.b*s.h*s.t),
		Q: c.in(qn), K: c.in(kn), V: c.in(kn), First: c.alloc(s.b*s.t, kernel.I32)}
	first := c.be.HostInts(a.First)
	for i := s.t / 3; i < s.t; i++ { // a second document
		first[i] = int32(s.t / 3)
	}
	q, k, v := wide(c.be, a.Q), wide(c.be, a.K), wide(c.be, a.V)
	y, lse := make([]float64, qn), make([]float64, s.b*s.h*s.t)
	shape := ref.AttentionShape{B: s.b, T: s.t, H: s.h, K: s.kv, D: s.d, Scale: float64(scaleOf(s))}
	return gradient{
		op: []kernel.Op{
			kernel.Attention(a.Y, a.LSE, a.Q, a.K, a.V, a.First, s.b, s.t, s.h, s.kv, s.d,
				scaleOf(s)),
			kernel.AttentionGrad(a, s.b, s.t, s.h, s.kv, s.d, scaleOf(s))},
		got: []kernel.Tensor{a.DQ, a.DK, a.DV}, x: [][]float64{q, k, v},
		loss: against(wide(c.be, a.DY), y, func() { ref.Attention(y, lse, q, k, v, first, shape) })}
}
