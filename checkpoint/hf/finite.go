package hf

import (
	"math"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
)

// firstNonFinite finds an element that is NaN or infinite, or would be once rounded to dtype.
func firstNonFinite(data []float32, dtype safetensors.DType) (int, bool) {
	limit := uint32(0x7f800000) // infinity
	if dtype == safetensors.BF16 {
		limit = 0x7f7f8000 // rounds up to it
	}
	// The sum reaches the sign bit where the magnitude reaches the limit. One look at the sums of
	// all elements is several times faster than a branch for each.
	var over uint32
	for _, x := range data {
		over |= math.Float32bits(x)&0x7fffffff + (1<<31 - limit)
	}
	if over>>31 == 0 {
		return 0, false
	}
	for i, x := range data {
		if math.Float32bits(x)&0x7fffffff >= limit {
			return i, true
		}
	}
	return 0, false
}
