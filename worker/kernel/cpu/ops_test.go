package cpu

import (
	"maps"
	"math"
	"math/rand/v2"

	"github.com/banyan-train/banyan/worker/kernel"
)

// The cases: every op at a random size, drawn from the call's own generator, so that the same seed
// is the same call on every backend. Sizes are ragged on purpose; some are one.

func size(r *rand.Rand, most int) int {
	if r.IntN(8) == 0 {
		return 1
	}
	return 1 + r.IntN(most)
}

type opCase struct {
	build build
	tol   float64
}

// cases is the cases of floats, and those of halves, whose results may be off by one unit in the
// last place of a bfloat16.
var cases = func() map[string]opCase {
	all := maps.Clone(floatCases)
	for name, c := range floatCases {
		switch name {
		case "add", "add in place", "scale", "sum of squares", "embed grad": // floats only
			continue
		}
		half := opCase{func(call *call) {
			call.half = true
			c.build(call)
		}, max(c.tol, 1.0/128)}
		if name == "attention grad" { // begins at a y that is rounded too
			half.tol = 1.0 / 32
		}
		all[name+" of halves"] = half
	}
	return all
}()

// floatCases maps a name to a builder. Tolerances are for sums in single precision at these sizes.
var floatCases = map[string]opCase{
	"fill": {func(c *call) {
		c.op = kernel.Fill(c.freshNum("y", size(c.rng, 40000)), 0.3)
	}, 0},
	"copy": {func(c *call) {
		n := size(c.rng, 40000)
		c.op = kernel.Copy(c.freshMixed("y", n), c.mixed(n))
	}, 0},
	"add": {func(c *call) {
		n := size(c.rng, 40000)
		c.op = kernel.Add(c.fresh("y", n), c.in(n), c.in(n))
	}, 0},
	"add in place": {func(c *call) {
		n := size(c.rng, 40000)
		y := c.also("y", c.in(n))
		c.op = kernel.Add(y, y, c.in(n))
	}, 0},
	"scale": {func(c *call) {
		n := size(c.rng, 40000)
		c.op = kernel.Scale(c.fresh("y", n), c.in(n), 1.7)
	}, 1e-7},
	"matmul":       {func(c *call) { matmulCase(c, 300) }, 5e-6},
	"matmul small": {func(c *call) { matmulCase(c, 20) }, 5e-6},
	"matmul deep": {func(c *call) {
		matmulOf(c, size(c.rng, 40), size(c.rng, 70), 250+c.rng.IntN(800))
	}, 5e-6},
	"matmul wide": {func(c *call) {
		matmulOf(c, size(c.rng, 20), 500+c.rng.IntN(700), size(c.rng, 60))
	}, 5e-6},
	"matmul tall": {func(c *call) {
		matmulOf(c, 200+c.rng.IntN(500), size(c.rng, 40), size(c.rng, 60))
	}, 5e-6},
	"matmul of halves, exact": {func(c *call) { // products of halves, summed in floats
		c.half = true
		m, n, k := size(c.rng, 100), size(c.rng, 100), size(c.rng, 700)
		c.op = kernel.Matmul(c.fresh("c", m*n), c.num(m*k), c.num(k*n), m, n, k,
			kernel.MatmulOptions{TransA: c.rng.IntN(2) == 0, TransB: c.rng.IntN(2) == 0})
	}, 5e-6},
	"embed": {func(c *call) {
		r, w, v := size(c.rng, 200), size(c.rng, 200), size(c.rng, 50)
		c.op = kernel.Embed(c.freshMixed("y", r*w), c.mixed(v*w), c.indices(r, 0, v), r, w, v)
	}, 0},
	"embed grad": {func(c *call) {
		r, w, v := size(c.rng, 200), size(c.rng, 200), size(c.rng, 50)
		c.op = kernel.EmbedGrad(c.also("dtable", c.in(v*w)), c.in(r*w), c.indices(r, 0, v), r, w, v)
	}, 0},
	"rms norm": {func(c *call) {
		r, w := size(c.rng, 100), size(c.rng, 900)
		c.op = kernel.RMSNorm(c.freshNum("y", r*w), c.fresh("rstd", r), c.mixed(r*w), c.num(w), r, w,
			1e-5)
	}, 1e-6},
	"rms norm grad": {func(c *call) {
		r, w := size(c.rng, 200), size(c.rng, 400)
		c.op = kernel.RMSNormGrad(c.also("dx", c.mixed(r*w)), c.fresh("dw", w), c.num(r*w),
			c.mixed(r*w), c.num(w), c.in(r), r, w, true)
	}, 5e-6},
	"rms norm grad, stored": {func(c *call) {
		r, w := size(c.rng, 200), size(c.rng, 400)
		dy := c.also("dx", c.num(r*w))
		c.op = kernel.RMSNormGrad(dy, c.fresh("dw", w), dy, c.num(r*w), c.num(w), c.in(r), r, w, false)
	}, 5e-6},
	"sum rows": {func(c *call) {
		r, w := size(c.rng, 200), size(c.rng, 400)
		c.op = kernel.SumRows(c.fresh("y", w), c.num(r*w), r, w)
	}, 5e-6},
	"rope":           {func(c *call) { ropeCase(c, false) }, 1e-6},
	"rope inverse":   {func(c *call) { ropeCase(c, true) }, 1e-6},
	"attention":      {attentionCase, 5e-6},
	"attention grad": {attentionGradCase, 2e-5},
	"swiglu": {func(c *call) {
		n := size(c.rng, 40000)
		c.op = kernel.SwiGLU(c.freshNum("y", n), c.num(n), c.num(n))
	}, 1e-6},
	"swiglu grad": {func(c *call) {
		n := size(c.rng, 40000)
		c.op = kernel.SwiGLUGrad(c.freshNum("dg", n), c.freshNum("du", n), c.num(n), c.num(n),
			c.num(n))
	}, 1e-6},
	"swiglu grad in place": {func(c *call) {
		n := size(c.rng, 40000)
		g, u := c.also("dg", c.num(n)), c.also("du", c.num(n))
		c.op = kernel.SwiGLUGrad(g, u, c.num(n), g, u)
	}, 1e-6},
	"cross entropy": {func(c *call) {
		r, v := size(c.rng, 60), size(c.rng, 3000)
		logits := c.in(r * v)
		grad := logits
		if c.half {
			grad = c.freshNum("grad", r*v)
		} else {
			c.also("grad", logits)
		}
		c.op = kernel.CrossEntropy(c.fresh("loss", r), logits, grad, c.indices(r, -1, v), r, v)
	}, 2e-6},
	"sum of squares": {func(c *call) {
		n, chunk := size(c.rng, 70000), size(c.rng, 20000)
		c.op = kernel.SumSquares(c.fresh("sums", (n+chunk-1)/chunk), c.in(n), chunk)
	}, 1e-6},
	"adamw": {adamwCase, 1e-6},
}

func matmulCase(c *call, most int) {
	matmulOf(c, size(c.rng, most), size(c.rng, most), size(c.rng, most))
}

func matmulOf(c *call, m, n, k int) {
	ta, tb := c.rng.IntN(2) == 0, c.rng.IntN(2) == 0
	o := kernel.MatmulOptions{TransA: ta, TransB: tb, Accumulate: c.rng.IntN(2) == 0}
	if o.Accumulate {
		c.op = kernel.Matmul(c.also("c", c.mixed(m*n)), c.mixed(m*k), c.mixed(k*n), m, n, k, o)
		return
	}
	if c.rng.IntN(2) == 0 {
		o.Add = c.mixed(m * n)
	}
	if c.rng.IntN(2) == 0 {
		o.Bias = c.mixed(n)
	}
	c.op = kernel.Matmul(c.freshMixed("c", m*n), c.mixed(m*k), c.mixed(k*n), m, n, k, o)
}

func ropeCase(c *call, inverse bool) {
	r, h, d, p := size(c.rng, 200), size(c.rng, 5), 2*size(c.rng, 70), size(c.rng, 300)
	cs := c.in(p * d)
	for i := range p {
		for j := range d / 2 {
			a := c.rng.Float64() * 6
			c.be.Host(cs)[i*d+j] = float32(math.Cos(a))
			c.be.Host(cs)[i*d+d/2+j] = float32(math.Sin(a))
		}
	}
	x := c.also("x", c.num(r*h*d))
	c.op = kernel.Rope(x, c.indices(r, 0, p), cs, r, h, d, p, inverse)
}

type attentionSize struct{ b, t, h, kv, d int }

func attentionSizeOf(c *call) attentionSize {
	kv := 1 + c.rng.IntN(3)
	t := size(c.rng, 200)
	if c.rng.IntN(3) == 0 {
		t = 64 * (1 + c.rng.IntN(3)) // whole tiles
	}
	d := size(c.rng, 70)
	if c.rng.IntN(3) == 0 {
		d = 32 * (1 + c.rng.IntN(4))
	}
	return attentionSize{1 + c.rng.IntN(2), t, kv * (1 + c.rng.IntN(3)), kv, d}
}

func attentionCase(c *call) {
	s := attentionSizeOf(c)
	qn, kn := s.b*s.t*s.h*s.d, s.b*s.t*s.kv*s.d
	c.op = kernel.Attention(c.freshNum("y", qn), c.fresh("lse", s.b*s.h*s.t), c.num(qn), c.num(kn),
		c.num(kn), c.documents(s.b, s.t), s.b, s.t, s.h, s.kv, s.d, scaleOf(s))
}

func scaleOf(s attentionSize) float32 { return float32(1 / math.Sqrt(float64(s.d))) }

// attentionGradCase runs the forward pass of the same backend first: the gradient takes y and lse
// from it.
func attentionGradCase(c *call) {
	s := attentionSizeOf(c)
	qn, kn := s.b*s.t*s.h*s.d, s.b*s.t*s.kv*s.d
	a := kernel.AttentionTensors{DQ: c.freshNum("dq", qn), DK: c.freshNum("dk", kn),
		DV: c.freshNum("dv", kn), DY: c.num(qn), Y: c.num(qn), LSE: c.in(s.b * s.h * s.t),
		Q: c.num(qn), K: c.num(kn), V: c.num(kn), First: c.documents(s.b, s.t)}
	forward := kernel.Attention(a.Y, a.LSE, a.Q, a.K, a.V, a.First, s.b, s.t, s.h, s.kv, s.d,
		scaleOf(s))
	if err := c.be.Run([]kernel.Op{forward}); err != nil {
		c.failed = err
	}
	c.op = kernel.AttentionGrad(a, s.b, s.t, s.h, s.kv, s.d, scaleOf(s))
}

func adamwCase(c *call) {
	n := size(c.rng, 40000)
	v := c.also("v", c.in(n))
	for i, x := range c.be.Host(v) {
		c.be.Host(v)[i] = x * x
	}
	var half kernel.Tensor
	if c.half {
		half = c.freshNum("half", n)
	}
	c.op = kernel.AdamW(c.also("p", c.in(n)), c.also("m", c.in(n)), v, c.in(n),
		half, kernel.AdamWStep{
			LR: 1e-2, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Correction1: 1.3,
			Correction2: 2.1, GradScale: 0.25})
}
