package optim

import (
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Step is the constants of the AdamW update number step (1-based) of one parameter. decay says
// whether weight decay applies to it; gradScale multiplies its gradient (clip factor divided by
// the number of targets). o.Betas must hold two values: spec checks it.
func Step(o *pb.Optimizer, lr float64, step uint64, decay bool, gradScale float32,
) kernel.AdamWStep {
	beta1, beta2 := o.Betas[0], o.Betas[1]
	s := kernel.AdamWStep{
		LR: float32(lr), Beta1: float32(beta1), Beta2: float32(beta2), Eps: float32(o.Eps),
		Correction1: float32(1 / (1 - power(beta1, step))),
		Correction2: float32(1 / (1 - power(beta2, step))),
		GradScale:   gradScale,
	}
	if decay {
		s.WeightDecay = float32(o.WeightDecay)
	}
	return s
}

// power is x^n by squaring: a fixed series of multiplications.
func power(x float64, n uint64) float64 {
	y := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			y *= x
		}
		x *= x
	}
	return y
}

// ClipFactor is what gradients of this norm are multiplied by so that the norm is at most clip: 1
// if it is already, or clip is 0 (no clipping). A norm that is not finite gives 0 or NaN; the
// caller must refuse such a step before.
func ClipFactor(norm, clip float64) float64 {
	if clip <= 0 || norm <= clip {
		return 1
	}
	return clip / norm
}

// Norm is the square root of the sum of the partial sums of squares, added in their order.
func Norm(sums []float32) float64 {
	var total float64
	for _, s := range sums {
		total += float64(s)
	}
	return math.Sqrt(total)
}
