package model

import "math"

// exp is e^x for |x| < 700, to 1 unit in the last place or so. It is ours because math.Exp chooses
// fused instructions by CPU, so that two hosts could differ in the last bit (I3). The float64
// conversions keep the compiler from fusing; math.Log, math.Sin, math.Cos and math.Sqrt have one
// implementation for all CPUs of an architecture.
func exp(x float64) float64 {
	const ln2Hi, ln2Lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	k := math.Floor(x/math.Ln2 + 0.5)
	r := float64(x-float64(k*ln2Hi)) - float64(k*ln2Lo) // |r| <= ln(2)/2
	sum := 1.0
	for i := 16; i >= 1; i-- { // Taylor: r^17/17! < 1e-22
		sum = 1 + float64(float64(r*sum)/float64(i))
	}
	return math.Ldexp(sum, int(k))
}
