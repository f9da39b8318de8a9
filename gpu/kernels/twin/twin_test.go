package twin

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestFMAIsRoundedOnce compares with exact arithmetic, cases that two roundings get wrong included.
func TestFMAIsRoundedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	twice := 0
	for range 200000 {
		a := math.Float32frombits(rng.Uint32()&0x007fffff | 0x3f800000)
		b := math.Float32frombits(rng.Uint32()&0x007fffff | 0x3f800000)
		c := float32(math.Ldexp(rng.Float64()-0.5, rng.IntN(60)-30))
		exact := new(big.Float).SetPrec(400).SetFloat64(float64(a))
		exact.Mul(exact, big.NewFloat(float64(b)))
		exact.Add(exact, big.NewFloat(float64(c)))
		want, _ := exact.Float32()
		if got := FMA(a, b, c); got != want {
			t.Fatalf("%g * %g + %g is %g, want %g", a, b, c, got, want)
		}
		if float32(float64(a)*float64(b)+float64(c)) != want {
			twice++
		}
	}
	if twice == 0 {
		t.Log("no case in which rounding twice differs")
	}
}
