package ref

import (
	"math"

	"github.com/banyan-train/banyan/worker/kernel"
)

// Real is a storage type: float32 for the backend, float64 for finite differences.
type Real interface{ float32 | float64 }

// Fill sets y to v.
func Fill[F Real](y []F, v float64) {
	for i := range y {
		y[i] = F(v)
	}
}

// Add sets y = a + b.
func Add[F Real](y, a, b []F) {
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

// Scale sets y = s * x.
func Scale[F Real](y, x []F, s float64) {
	for i := range y {
		y[i] = F(s * float64(x[i]))
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// SwiGLU sets y = silu(g) * u.
func SwiGLU[F Real](y, g, u []F) {
	for i := range y {
		x := float64(g[i])
		y[i] = F(x * sigmoid(x) * float64(u[i]))
	}
}

// SwiGLUGrad sets dg and du from dy; dg may be g and du may be u.
func SwiGLUGrad[F Real](dg, du, dy, g, u []F) {
	for i := range dy {
		x, up, d := float64(g[i]), float64(u[i]), float64(dy[i])
		s := sigmoid(x)
		dg[i] = F(d * up * s * (1 + x*(1-s)))
		du[i] = F(d * x * s)
	}
}

// SumSquares sets sums[i] to the sum of squares of chunk i of x.
func SumSquares[F Real](sums, x []F, chunk int) {
	for i := range sums {
		var sum float64
		for _, v := range x[i*chunk : min(len(x), (i+1)*chunk)] {
			sum += float64(v) * float64(v)
		}
		sums[i] = F(sum)
	}
}

// AdamW updates p, m and v in place from g.
func AdamW[F Real](p, m, v, g []F, s kernel.AdamWStep) {
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	for i := range p {
		d := float64(g[i]) * float64(s.GradScale)
		first := b1*float64(m[i]) + (1-b1)*d
		second := b2*float64(v[i]) + (1-b2)*d*d
		step := first * float64(s.Correction1) /
			(math.Sqrt(second*float64(s.Correction2)) + float64(s.Eps))
		old := float64(p[i])
		p[i] = F(old - float64(s.LR)*(step+float64(s.WeightDecay)*old))
		m[i], v[i] = F(first), F(second)
	}
}
