package train

import (
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// What a phase does not train is frozen: no update touches its weights or its moments, the products
// that make its gradients are left out (model.Freeze), and what small gradients are made all the
// same do not count in the global norm, which is thus that of the trained parameters alone
// (as clip_grad_norm_ of PyTorch over parameters that require a gradient).
//
// A parameter's bias correction counts its own updates: moments that begin late, begin at zero.
// Every rank counts in its progress, which travels with checkpoints: an edit of the phases, or a
// skipped step, cannot make the counts wrong.

// phase is what is trained in a step; nil: everything.
func (t *trainer) phase(step uint64) *pb.Phase {
	return optim.PhaseOf(t.spec.GetTrain().GetPhases(), step, optim.LengthOf(t.resolved))
}

// enter tells the model what a step's phase leaves frozen, when another phase begins.
func (t *trainer) enter(step uint64) {
	phase := t.phase(step)
	if phase == t.entered {
		return
	}
	t.entered = phase
	t.model.Freeze(func(name string) bool { return !optim.Trains(phase, name) })
}

// freeze zeroes the gradients of frozen parameters in the own shards, before the norm is taken.
// Chunks of the norm cross the boundaries of parameters, so leaving parameters out of it would not
// do.
func (t *trainer) freeze(step uint64) []kernel.Op {
	phase := t.phase(step)
	if phase == nil {
		return nil
	}
	var ops []kernel.Op
	for i, u := range t.units {
		lo, hi := t.shards.lo[i], t.shards.hi[i]
		for _, p := range u.Params {
			from, to := max(lo, p.Offset), min(hi, p.Offset+p.Len())
			if from < to && !optim.Trains(phase, p.Name) {
				ops = append(ops, kernel.Fill(t.shards.grad[i].Slice(from-lo, to-lo), 0))
			}
		}
	}
	return ops
}

// updater gives each parameter the constants of its update in one step.
type updater struct {
	optimizer *pb.Optimizer
	phase     *pb.Phase
	progress  *progress
	lr        float64
	scale     float32
}

// updater prepares a step's update: scale multiplies the gradients.
func (t *trainer) updater(step uint64, lr float64, scale float32) *updater {
	return &updater{t.spec.GetTrain().GetOptimizer(), t.phase(step), &t.progress, lr, scale}
}

// constants are those of a parameter's update; false: it is frozen.
func (u *updater) constants(p model.Param) (kernel.AdamWStep, bool) {
	if !optim.Trains(u.phase, p.Name) {
		return kernel.AdamWStep{}, false
	}
	return optim.Step(u.optimizer, u.lr, u.progress.updates(p.Name)+1, p.Decay, u.scale), true
}

// rate is the learning rate of a step.
func (t *trainer) rate(step uint64) float64 {
	cfg := t.spec.GetTrain()
	return optim.LR(cfg.GetSchedule(), optim.Peak(cfg.GetOptimizer(), t.phase(step)), step,
		optim.LengthOf(t.resolved))
}

// updates is how often a parameter was updated.
func (p *progress) updates(name string) uint64 { return p.Applied - p.Missed[name] }

// count notes that a step's update was applied, or skipped.
func (t *trainer) count(step uint64, skipped bool) {
	p := &t.progress
	if skipped {
		p.Skipped++
		return
	}
	p.Applied++
	phase := t.phase(step)
	if phase == nil {
		return
	}
	if p.Missed == nil {
		p.Missed = map[string]uint64{}
	}
	for _, u := range t.units {
		for _, q := range u.Params {
			if !optim.Trains(phase, q.Name) {
				p.Missed[q.Name]++
			}
		}
	}
}
