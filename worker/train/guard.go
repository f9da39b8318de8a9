package train

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// baseline is a held-out set's loss before training: at step 0, or where an edit brought the set
// in. It is of one content of the set: another one under the same name gets a baseline of its own.
type baseline struct {
	Set  string `json:"set"`
	ID   string `json:"id"`
	Loss exact  `json:"loss"`
}

// guardState is what the guard remembers between evaluations. It travels with checkpoints; every
// rank has the same.
type guardState struct {
	ID   string `json:"id,omitempty"`   // of the set that it is about
	Over uint32 `json:"over,omitempty"` // evaluations in a row above the bound
	// Acted is set from the evaluation at which the guard acted until the loss is back under the
	// bound: it acts once an episode.
	Acted bool `json:"acted,omitempty"`
	// Stopped is the step at which the guard stopped the run, 0 if it did not, and Why.
	Stopped uint64 `json:"stopped,omitempty"`
	Why     string `json:"why,omitempty"`
}

// judge takes in an evaluation of the guarded set after a step, and answers why the guard acts, ""
// if it does not.
func (s *guardState) judge(g *pb.Guard, id string, step uint64, loss, base float64) string {
	if s.ID != id {
		*s = guardState{ID: id}
	}
	// The negation lets no NaN pass for a good loss.
	if over := !(loss-base <= g.GetMaxRegression()*base); !over {
		s.Over, s.Acted = 0, false
		return ""
	}
	s.Over++
	if s.Acted || s.Over < max(1, g.GetPatience()) {
		return ""
	}
	s.Acted = true
	why := fmt.Sprintf("loss of held-out set %s is %.6g after step %d, %.3g%% above its %.6g before "+
		"training (eval.guard.max_regression is %v%%)", g.GetSet(), loss, step, 100*(loss-base)/base,
		base, 100*g.GetMaxRegression())
	if s.Over > 1 {
		why += fmt.Sprintf(", the evaluation number %d in a row above the bound", s.Over)
	}
	if g.GetAction() == pb.Guard_STOP {
		why += "; the run stops here"
		s.Stopped, s.Why = step, why
	}
	return why
}

// needsBaseline says whether a held-out set has no baseline yet.
func (t *trainer) needsBaseline() bool {
	if t.eval == nil {
		return false
	}
	for _, h := range t.eval.sets {
		if t.progress.baseline(h) == nil {
			return true
		}
	}
	return false
}

// setBaselines keeps the results of sets that have no baseline. Those of sets that are gone, or
// have another content, are forgotten.
func (t *trainer) setBaselines(results []*pb.EvalResult) {
	var list []baseline
	for i, h := range t.eval.sets {
		b := t.progress.baseline(h)
		if b == nil {
			b = &baseline{Set: h.spec.GetName(), ID: h.id, Loss: exact(results[i].GetLoss())}
		}
		list = append(list, *b)
	}
	t.progress.Baselines = list
}

func (p *progress) baseline(h heldOut) *baseline {
	for i, b := range p.Baselines {
		if b.Set == h.spec.GetName() && b.ID == h.id {
			return &p.Baselines[i]
		}
	}
	return nil
}

// guard judges an evaluation made after a step.
func (t *trainer) guard(step uint64, results []*pb.EvalResult) string {
	g := t.spec.GetEval().GetGuard()
	if g == nil {
		return ""
	}
	for i, h := range t.eval.sets {
		if b := t.progress.baseline(h); h.spec.GetName() == g.GetSet() && b != nil {
			return t.progress.Guard.judge(g, h.id, step, results[i].GetLoss(), float64(b.Loss))
		}
	}
	return ""
}

// guardStops says whether the guard ends the run at a step, here or in an earlier generation. A
// user who resumed the run at this step, or after it, has overruled it.
func (t *trainer) guardStops(step uint64) bool {
	return step > 0 && t.progress.Guard.Stopped == step && t.assignment.GetResumedStep() < step
}
