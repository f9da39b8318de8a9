package server

import (
	"github.com/banyan-train/banyan/coordinator/plan"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// grow asks the ranks of a run that could have more of them to checkpoint and end. That is a wish
// of this leader's, kept in its memory: the next one looks again. A generation that has been asked
// ends, whatever becomes of the devices meanwhile, since its ranks may be on their way.
func (l *lead) grow(st *pb.ClusterState) {
	g, ok := plan.Grow(st, l.views(st))
	if !ok || l.growing[g.Run].Generation == g.Generation {
		return
	}
	l.growing[g.Run] = g
	l.log.Info().Str("run", g.Run).Uint64("generation", g.Generation).Str("reason", g.Reason).
		Msg("run grows")
}

// grows reports whether the run's generation has been asked to end for a larger one.
func (l *lead) grows(run *pb.Run) bool {
	return run.GetGeneration() > 0 && l.growing[run.GetId()].Generation == run.GetGeneration()
}

// ending reports whether the ranks of a run are to checkpoint and end.
func (l *lead) ending(run *pb.Run) bool {
	return run.GetStopRequested() || run.GetNext() != nil || l.grows(run)
}
