package model

import (
	"math"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestExp(t *testing.T) {
	for x := -40.0; x < 40; x += 0.0137 {
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-15 {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	if exp(0) != 1 {
		t.Errorf("exp(0) is %v", exp(0))
	}
}

func TestRopeTable(t *testing.T) {
	const positions, d, theta = 4096, 10, 500000.0
	cs := make([]float32, positions*d)
	ropeTable(cs, positions, frequencies(&pb.ModelConfig{HeadDim: d, RopeTheta: theta}))
	for _, pos := range []int{0, 1, 77, positions - 1} {
		for i := range d / 2 {
			sin, cos := math.Sincos(float64(pos) * math.Pow(theta, -2*float64(i)/d))
			c, s := float64(cs[pos*d+i]), float64(cs[pos*d+d/2+i])
			if math.Abs(c-cos) > 1e-7 || math.Abs(s-sin) > 1e-7 {
				t.Errorf("position %d, pair %d: (%v, %v), want (%v, %v)", pos, i, c, s, cos, sin)
			}
		}
	}
}

func TestExpEverywhere(t *testing.T) {
	for x := -699.5; x < 709; x += 0.37 {
		if got, want := Exp(x), math.Exp(x); math.Abs(got-want) > 1e-14*want {
			t.Fatalf("Exp(%v) is %v, want %v", x, got, want)
		}
	}
	for x, want := range map[float64]float64{-1e9: 0, 710: math.Inf(1), math.Inf(1): math.Inf(1),
		math.Inf(-1): 0, 0: 1} {
		if got := Exp(x); got != want {
			t.Errorf("Exp(%v) is %v, want %v", x, got, want)
		}
	}
	if !math.IsNaN(Exp(math.NaN())) {
		t.Error("Exp(NaN) is a number")
	}
}
