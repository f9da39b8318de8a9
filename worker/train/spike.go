package train

import (
	"fmt"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// RefusedUpdateError ends a generation whose policy does not allow to go on past an update that
// must not be applied, and the run if it does not go back either. The weights are those of the step
// before.
type RefusedUpdateError struct {
	Step   uint64
	Why    string
	Rewind bool // the policy is to go back before the step
}

func (e *RefusedUpdateError) Error() string {
	if e.Rewind {
		return fmt.Sprintf("step %d: %s; the update was not applied", e.Step, e.Why)
	}
	return fmt.Sprintf("step %d: %s; the update was not applied. Lower train.optimizer.lr, look at "+
		"the step's data, or leave such updates out: train.spike", e.Step, e.Why)
}

// spikeState is what the spike policy remembers of the steps before. It travels with checkpoints,
// and every rank has the same, because all judge the same exchanged values.
type spikeState struct {
	// Losses are those of the newest applied steps, oldest first, at most train.spike.window. A
	// skipped step is not in them: one spike must not hide the next. Empty where spikes are ignored.
	Losses []float64 `json:"losses,omitempty"`
	Row    uint32    `json:"row,omitempty"` // skipped steps in a row
}

// deviationFloor is the least standard deviation that is counted with, as a part of the mean: a
// loss that hardly moves would make a spike of every hair.
const deviationFloor = 1e-3

// judge looks at the loss and the gradient norm of a step before its update is applied. It answers
// why the update must not be applied and what is to be done instead, SKIP, STOP or REWIND; or "".
// A value that is not finite is judged first, so no NaN ever comes to a comparison.
func (s *spikeState) judge(p *pb.Spike, loss, norm float64) (why string, policy pb.Spike_Policy) {
	policy = p.GetNonFinite()
	if notFinite(loss) || notFinite(norm) {
		why = fmt.Sprintf("loss %v, grad norm %v: not finite", loss, norm)
	} else if policy = p.GetLoss(); policy > pb.Spike_POLICY_UNSPECIFIED && policy != pb.Spike_IGNORE {
		if why = s.spike(p, loss); why == "" {
			s.remember(p, loss)
		}
	} else {
		s.Losses = nil
	}
	switch {
	case why == "":
		s.Row = 0
		return "", policy
	case policy == pb.Spike_REWIND:
		return why, policy
	case policy != pb.Spike_SKIP:
		return why, pb.Spike_STOP
	}
	s.Row++
	if most := p.GetMaxSkips(); most > 0 && s.Row > most {
		return fmt.Sprintf("%d steps in a row were to be skipped (train.spike.max_skips is %d), the "+
			"last: %s", s.Row, most, why), pb.Spike_STOP
	}
	return why, policy
}

// spike says why a finite loss is a spike, or "". Until the window is full there is none: the mean
// of a few steps says little.
func (s *spikeState) spike(p *pb.Spike, loss float64) string {
	n := len(s.Losses)
	if n == 0 || n < int(p.GetWindow()) {
		return ""
	}
	mean, deviation := meanDeviation(s.Losses)
	z := (loss - mean) / max(deviation, deviationFloor*math.Abs(mean), math.SmallestNonzeroFloat32)
	if z <= p.GetZscore() {
		return ""
	}
	return fmt.Sprintf("loss %.6g is %.3g standard deviations above the mean %.6g of the last %d "+
		"applied steps (train.spike.zscore is %v)", loss, z, mean, n, p.GetZscore())
}

func (s *spikeState) remember(p *pb.Spike, loss float64) {
	s.Losses = append(s.Losses, loss)
	if extra := len(s.Losses) - int(p.GetWindow()); extra > 0 {
		s.Losses = append([]float64(nil), s.Losses[extra:]...)
	}
}

// meanDeviation is the mean and the standard deviation, each summed in the order of the list. The
// conversions keep the compiler from fusing: every CPU of an architecture gets the same bits.
func meanDeviation(list []float64) (mean, deviation float64) {
	n := float64(len(list))
	for _, x := range list {
		mean += x
	}
	mean /= n
	sum := 0.0
	for _, x := range list {
		d := x - mean
		sum += float64(d * d)
	}
	return mean, math.Sqrt(sum / n)
}

// judge applies the policy to a step. It leaves in the outcome why the update is skipped, if so.
func (t *trainer) judge(step uint64, out *outcome) error {
	if x := leftOut(t.assignment.GetLeftOut(), step); x != nil {
		out.skipped = fmt.Sprintf("the run went back before the spike of step %d and leaves steps %d to "+
			"%d out", x.GetSpike(), x.GetFrom(), x.GetTo())
		return nil
	}
	loss := 0.0
	for _, s := range out.slots {
		loss += s.Loss
	}
	why, policy := t.progress.Spike.judge(t.spec.GetTrain().GetSpike(), loss/float64(out.targets),
		out.gradNorm)
	if why != "" && policy != pb.Spike_SKIP {
		return &RefusedUpdateError{Step: step, Why: why, Rewind: policy == pb.Spike_REWIND}
	}
	out.skipped = why
	return nil
}

// leftOut is the range that a step is in, nil if its update counts. Steps in a range are not
// judged, and do not enter what later ones are judged by.
func leftOut(ranges []*pb.LeftOut, step uint64) *pb.LeftOut {
	for _, x := range ranges {
		if x.GetFrom() <= step && step <= x.GetTo() {
			return x
		}
	}
	return nil
}

func notFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
