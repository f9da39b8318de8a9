package ref

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The gradient checks: every hand-written gradient against central finite differences of the
// forward function, all in float64 storage, so that the tolerance can be far below any real error.

const (
	fdStep      = 1e-5
	fdTolerance = 1e-7
)

func random(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// checkGrad compares got with the finite differences of loss over x.
func checkGrad(t *testing.T, name string, x, got []float64, loss func() float64) {
	t.Helper()
	for i := range x {
		old := x[i]
		x[i] = old + fdStep
		up := loss()
		x[i] = old - fdStep
		want := (up - loss()) / (2 * fdStep)
		x[i] = old
		if math.Abs(got[i]-want) > fdTolerance*(1+math.Abs(want)) || math.IsNaN(got[i]) {
			t.Fatalf("%s[%d]: gradient %.10g, finite differences say %.10g", name, i, got[i], want)
		}
	}
}

// weighted turns outputs into one number whose gradient with respect to y is dy.
func weighted(dy, y []float64) float64 { return dot(dy, y) }

func TestMatmulGradient(t *testing.T) {
	// Not an op of its own: the gradient of a product is two products. This pins the transposes.
	r := rand.New(rand.NewPCG(1, 1))
	const m, n, k = 3, 4, 5
	x, w, dy, y := random(r, m*k), random(r, n*k), random(r, m*n), make([]float64, m*n)
	loss := func() float64 {
		Matmul(y, x, w, nil, nil, m, n, k, false, true, false)
		return weighted(dy, y)
	}
	dx, dw := make([]float64, m*k), make([]float64, n*k)
	Matmul(dx, dy, w, nil, nil, m, k, n, false, false, false)
	Matmul(dw, dy, x, nil, nil, n, k, m, true, false, false)
	checkGrad(t, "dx", x, dx, loss)
	checkGrad(t, "dw", w, dw, loss)
	Matmul(dw, dy, x, nil, nil, n, k, m, true, false, true)
	for i := range dw {
		dw[i] /= 2
	}
	checkGrad(t, "dw accumulated twice", w, dw, loss)
}

func TestEmbedGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	const c, v = 3, 4
	ids := []int32{2, 0, 2, 3, 2}
	table, dy, y := random(r, v*c), random(r, len(ids)*c), make([]float64, len(ids)*c)
	dtable := make([]float64, v*c)
	EmbedGrad(dtable, dy, ids, c)
	checkGrad(t, "dtable", table, dtable, func() float64 {
		Embed(y, table, ids, c)
		return weighted(dy, y)
	})
}

func TestRMSNormGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	const rows, c, eps = 4, 7, 1e-3
	x, w, dy := random(r, rows*c), random(r, c), random(r, rows*c)
	y, rstd := make([]float64, rows*c), make([]float64, rows)
	loss := func() float64 { RMSNorm(y, rstd, x, w, eps); return weighted(dy, y) }
	loss()
	dx, dw := random(r, rows*c), make([]float64, c)
	before := append([]float64(nil), dx...)
	saved := append([]float64(nil), rstd...)
	RMSNormGrad(dx, dw, dy, x, w, saved, true)
	for i := range dx {
		dx[i] -= before[i]
	}
	checkGrad(t, "dx", x, dx, loss)
	checkGrad(t, "dw", w, dw, loss)
}

func TestRopeGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	const heads, d, positions = 2, 6, 5
	pos := []int32{0, 4, 2, 3}
	x, cs := random(r, len(pos)*heads*d), make([]float64, positions*d)
	for i := range cs {
		cs[i] = r.NormFloat64()
	}
	dy := random(r, len(x))
	dx := append([]float64(nil), dy...)
	Rope(dx, pos, cs, heads, d, true)
	checkGrad(t, "dx", x, dx, func() float64 {
		y := append([]float64(nil), x...)
		Rope(y, pos, cs, heads, d, false)
		return weighted(dy, y)
	})
}

func TestSwiGLUGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	const n = 20
	g, u, dy, y := random(r, n), random(r, n), random(r, n), make([]float64, n)
	loss := func() float64 { SwiGLU(y, g, u); return weighted(dy, y) }
	dg, du := make([]float64, n), make([]float64, n)
	SwiGLUGrad(dg, du, dy, g, u)
	checkGrad(t, "dg", g, dg, loss)
	checkGrad(t, "du", u, du, loss)
}

func TestCrossEntropyGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	const v = 6
	targets := []int32{5, -1, 0, 3}
	logits, loss := random(r, len(targets)*v), make([]float64, len(targets))
	grad := append([]float64(nil), logits...)
	CrossEntropy(loss, grad, grad, targets, v)
	checkGrad(t, "dlogits", logits, grad, func() float64 {
		l := append([]float64(nil), logits...)
		CrossEntropy(loss, l, l, targets, v)
		var sum float64
		for _, x := range loss {
			sum += x
		}
		return sum
	})
}

func TestAttentionGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	for _, s := range []AttentionShape{
		{B: 2, T: 5, H: 4, K: 2, D: 3, Scale: 0.7}, {B: 1, T: 6, H: 2, K: 2, D: 4, Scale: 0.5},
		{B: 1, T: 4, H: 3, K: 1, D: 2, Scale: 1}} {
		q, k := random(r, s.B*s.T*s.H*s.D), random(r, s.B*s.T*s.K*s.D)
		v, dy := random(r, len(k)), random(r, len(q))
		y, lse := make([]float64, len(q)), make([]float64, s.B*s.H*s.T)
		first := make([]int32, s.B*s.T)
		for i := range first { // a document starts at position 2
			first[i] = int32(i % s.T / 2 * 2)
		}
		loss := func() float64 { Attention(y, lse, q, k, v, first, s); return weighted(dy, y) }
		loss()
		dq, dk, dv := make([]float64, len(q)), make([]float64, len(k)), make([]float64, len(k))
		AttentionGrad(dq, dk, dv, dy, y, lse, q, k, v, first, s)
		checkGrad(t, "dq", q, dq, loss)
		checkGrad(t, "dk", k, dk, loss)
		checkGrad(t, "dv", v, dv, loss)
	}
}
