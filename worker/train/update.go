package train

import (
	"fmt"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
)

// update applies AdamW to the own shard, unless the step's update must not be applied. The gradient
// is of the summed loss: it is divided here, once, by the global number of targets.
func (t *trainer) update(step uint64, out *outcome) error {
	out.lr = t.rate(step)
	if err := t.judge(step, out); err != nil {
		return err
	}
	defer func() { t.count(step, out.skipped != "") }()
	if out.skipped != "" {
		return nil
	}
	clip := optim.ClipFactor(out.gradNorm, t.spec.GetTrain().GetOptimizer().GetClip())
	by := t.updater(step, out.lr, float32(clip/float64(out.targets)))
	again := step < t.resolved.GetTotalSteps() && !out.stop
	for i, u := range t.units {
		if err := t.backend.Run(t.appendAdamW(nil, i, u, by)); err != nil {
			return fmt.Errorf("update parameters of %s: %w", u.Name, err)
		}
		t.gather.outdate(i, again)
	}
	return nil
}

// appendAdamW adds one op for each trained parameter that has elements in the own shard.
func (t *trainer) appendAdamW(ops []kernel.Op, i int, u model.Unit, by *updater) []kernel.Op {
	lo, hi := t.shards.lo[i], t.shards.hi[i]
	for _, p := range u.Params {
		from, to := max(lo, p.Offset), min(hi, p.Offset+elements(p.Shape))
		constants, trained := by.constants(p)
		if from >= to || !trained {
			continue
		}
		a, b := from-lo, to-lo
		ops = append(ops, kernel.AdamW(t.shards.param[i].Slice(a, b), t.shards.m[i].Slice(a, b),
			t.shards.v[i].Slice(a, b), t.shards.grad[i].Slice(a, b),
			slice(t.shards.half[i], a, b), constants))
	}
	return ops
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
