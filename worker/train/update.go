package train

import (
	"fmt"
	"math"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
)

// NonFiniteError stops a run before a NaN or an infinity reaches its weights.
type NonFiniteError struct {
	Step           uint64
	Loss, GradNorm float64
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("step %d: loss %v, grad norm %v: not finite; the update was not applied. "+
		"Lower train.optimizer.lr or look at the step's data", e.Step, e.Loss, e.GradNorm)
}

// update applies AdamW to the own shard. The gradient is of the summed loss: it is divided here,
// once, by the global number of targets.
func (t *trainer) update(step uint64, out *outcome) error {
	loss := 0.0
	for _, s := range out.slots {
		loss += s.Loss
	}
	if notFinite(loss) || notFinite(out.gradNorm) {
		return &NonFiniteError{Step: step, Loss: loss / float64(out.targets), GradNorm: out.gradNorm}
	}
	cfg := t.spec.GetTrain()
	o := cfg.GetOptimizer()
	out.lr = optim.LR(cfg.GetSchedule(), o.GetLr(), step, optim.LengthOf(t.resolved))
	scale := float32(optim.ClipFactor(out.gradNorm, o.GetClip()) / float64(out.targets))
	decayed := optim.Step(o, out.lr, step, true, scale)
	plain := optim.Step(o, out.lr, step, false, scale)
	again := step < t.resolved.GetTotalSteps() && !out.stop
	for i, u := range t.units {
		if err := t.backend.Run(t.appendAdamW(nil, i, u, decayed, plain)); err != nil {
			return fmt.Errorf("update parameters of %s: %w", u.Name, err)
		}
		t.gather.outdate(i, again)
	}
	return nil
}

// appendAdamW adds one op for each parameter that has elements in the own shard.
func (t *trainer) appendAdamW(ops []kernel.Op, i int, u model.Unit,
	decayed, plain kernel.AdamWStep,
) []kernel.Op {
	lo, hi := t.shards.lo[i], t.shards.hi[i]
	for _, p := range u.Params {
		from, to := max(lo, p.Offset), min(hi, p.Offset+elements(p.Shape))
		if from >= to {
			continue
		}
		constants := plain
		if p.Decay {
			constants = decayed
		}
		a, b := from-lo, to-lo
		ops = append(ops, kernel.AdamW(t.shards.param[i].Slice(a, b), t.shards.m[i].Slice(a, b),
			t.shards.v[i].Slice(a, b), t.shards.grad[i].Slice(a, b),
			slice(t.shards.half[i], a, b), constants))
	}
	return ops
}

func notFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
