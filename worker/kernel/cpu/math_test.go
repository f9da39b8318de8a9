package cpu

import (
	"math"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
)

// ulps is how far got is from want in units of the last place of want as a float32.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	if got == w || math.IsNaN(float64(got)) && math.IsNaN(want) {
		return 0
	}
	if math.IsInf(float64(got), 0) || math.IsInf(float64(w), 0) || math.IsNaN(want) {
		return math.Inf(1)
	}
	unit := float64(math.Nextafter32(abs32(w), math.MaxFloat32)) - math.Abs(float64(w))
	return math.Abs(float64(got)-want) / unit
}

func abs32(x float32) float32 { return float32(math.Abs(float64(x))) }

// patterns walks over all float32 values in steps: every exponent, both signs, infinities, NaN.
func patterns(step uint32) []float32 {
	x := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)),
		float32(math.NaN()), 88.72283, 88.72284, -87.33655, -103.97207, -103.97208, -104, 1, -1}
	for bits := uint64(0); bits < 1<<32; bits += uint64(step) {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for v := float32(-110); v < 95; v += 1.0 / 512 {
		x = append(x, v)
	}
	return x
}

func TestExpAccuracy(t *testing.T) {
	x := patterns(10007)
	y := make([]float32, len(x))
	for _, isa := range Classes() {
		worst, at := 0.0, float32(0)
		expRow(isa, y, x)
		for i, v := range x {
			if u := ulps(y[i], math.Exp(float64(v))); u > worst {
				worst, at = u, v
			}
		}
		t.Logf("%s: exp is within %.3f ulp (at %g)", isa, worst, at)
		if worst > 1 {
			t.Errorf("%s: exp(%g) is %.3f ulp off", isa, at, worst)
		}
	}
}

func TestLogAccuracy(t *testing.T) {
	for _, v := range patterns(10007) {
		if u := ulps(logOf(v), math.Log(float64(v))); u > 0.51 {
			t.Fatalf("log(%g) = %g, want %g: %.3f ulp", v, logOf(v), math.Log(float64(v)), u)
		}
	}
}

// TestI3_NoContraction pins AdamW to plain roundings: a compiler that fuses a product and a sum
// gives other bits.
func TestI3_NoContraction(t *testing.T) {
	for _, isa := range Classes() {
		be := open(t, isa, 1)
		c := &call{be: be, rng: newRand(5)}
		const n = 4099
		p, m, v, g := c.in(n), c.in(n), c.in(n), c.in(n)
		s := kernel.AdamWStep{LR: 0.013, Beta1: 0.9, Beta2: 0.97, Eps: 1e-3, WeightDecay: 0.1,
			Correction1: 1.37, Correction2: 2.71, GradScale: 0.3}
		want := make([]float32, n)
		for i := range want {
			be.Host(v)[i] = abs32(be.Host(v)[i])
			// Each conversion is a rounding: Go may fuse only what has none in between.
			d := float32(be.Host(g)[i] * s.GradScale)
			first := float32(be.Host(m)[i]*s.Beta1) + float32(d*float32(1-s.Beta1))
			second := float32(be.Host(v)[i]*s.Beta2) + float32(float32(d*d)*float32(1-s.Beta2))
			root := float32(math.Sqrt(float64(float32(second * s.Correction2))))
			step := float32(first*s.Correction1) / float32(root+s.Eps)
			old := be.Host(p)[i]
			want[i] = old - float32(s.LR*float32(step+float32(s.WeightDecay*old)))
		}
		if err := be.Run([]kernel.Op{kernel.AdamW(p, m, v, g, kernel.Tensor{}, s)}); err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if !sameBits(be.Host(p)[i], w) {
				t.Fatalf("%s: element %d is %x, want %x", isa, i, be.Host(p)[i], w)
			}
		}
	}
}

// The cast rounds to nearest even, as kernel.ToBF16 does, bit for bit; and back it is exact.
func TestCastToHalvesRoundsToNearestEven(t *testing.T) {
	rng := newRand(5)
	x := []float32{0, float32(math.Copysign(0, -1)), 1, float32(math.Inf(1)), float32(math.Inf(-1)),
		math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 0x1p-126, 0x1.01p0, 0x1.03p0,
		0x1.010002p0, 0x1.00fffep0, float32(math.NaN()), math.Float32frombits(0x7f800001)}
	for range 5000 {
		x = append(x, math.Float32frombits(rng.Uint32()))
	}
	for _, isa := range Classes() {
		be := open(t, isa, 2)
		c := &call{be: be, rng: rng}
		in, back := c.alloc(len(x), kernel.F32), c.alloc(len(x), kernel.F32)
		half := c.alloc(len(x), kernel.BF16)
		copy(be.Host(in), x)
		if err := be.Run([]kernel.Op{kernel.Copy(half, in), kernel.Copy(back, half)}); err != nil {
			t.Fatal(err)
		}
		for i, h := range be.HostHalf(half) {
			if want := kernel.ToBF16(x[i]); h != want {
				t.Errorf("%s: %x rounds to %#x, want %#x", isa, x[i], h, want)
			}
			if got := be.Host(back)[i]; !sameBits(got, kernel.FromBF16(h)) {
				t.Errorf("%s: %#x is %x, want %x", isa, h, got, kernel.FromBF16(h))
			}
		}
	}
}
