package twin

import "math"

// quiet is the bit that makes a NaN one that computing does not stop at.
const quiet = 0x400000

// Add is a + b as x86 has it, in bits: a NaN keeps its own, quiet; an invalid sum is 0xffc00000.
func Add(a, b float32) uint32 {
	switch {
	case a != a:
		return math.Float32bits(a) | quiet
	case b != b:
		return math.Float32bits(b) | quiet
	case math.IsInf(float64(a), 0) && b == -a:
		return 0xffc00000
	}
	return math.Float32bits(a + b)
}

// Narrow rounds to bfloat16, to nearest even. A NaN stays one.
func Narrow(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16((u | quiet) >> 16)
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// Widen is the float32 that a bfloat16 is the upper half of.
func Widen(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// AddHalves is Narrow of the sum in float32.
func AddHalves(a, b uint16) uint16 {
	return Narrow(math.Float32frombits(Add(Widen(a), Widen(b))))
}

// FMA is a*b + c rounded once to float32: the product is exact in float64, and the sum is rounded
// to odd there, so that the second rounding decides as one would.
func FMA(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(c)
	if math.IsNaN(s) || math.IsInf(s, 0) {
		return float32(s)
	}
	part := s - p
	lost := (p - (s - part)) + (float64(c) - part)
	if bits := math.Float64bits(s); lost != 0 && bits&1 == 0 {
		if (lost > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

// Lanes is the number of lanes of reduce.cu, and of the CPU's classes avx512 and amx.
const Lanes = 16

// SumSquares is the sum of the squares of a chunk: in rows of 32 times the lanes, each lane by
// fused multiply-adds; the lanes of a row are added by halves in float64, the rows in order.
func SumSquares(x []float32, lanes int) float32 {
	var total float64
	for start := 0; start < len(x); start += 32 * lanes {
		sums := make([]float32, lanes)
		for i, v := range x[start:min(len(x), start+32*lanes)] {
			sums[i%lanes] = FMA(v, v, sums[i%lanes])
		}
		d := make([]float64, lanes)
		for i, v := range sums {
			d[i] = float64(v)
		}
		for w := lanes / 2; w > 0; w /= 2 {
			for i := range w {
				d[i] += d[i+w]
			}
		}
		total += d[0]
	}
	return float32(total)
}
