package server

import (
	"github.com/banyan-train/banyan/coordinator/plan"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// move asks the ranks of runs that should be elsewhere, or could have more of them, to checkpoint
// and end. That is a wish of this leader's, kept in its memory: the next one looks again. A
// generation that has been asked ends, whatever becomes of the reason meanwhile, since its ranks
// may be on their way.
func (l *lead) move(st *pb.ClusterState) {
	for _, m := range plan.Moves(st, l.views(st)) {
		if l.moving[m.Run].Generation == m.Generation {
			continue
		}
		l.moving[m.Run] = m
		l.log.Info().Str("run", m.Run).Uint64("generation", m.Generation).Str("reason", m.Reason).
			Msg("run moves")
	}
}

// moves reports whether the run's generation has been asked to end for another one.
func (l *lead) moves(run *pb.Run) bool {
	return run.GetGeneration() > 0 && l.moving[run.GetId()].Generation == run.GetGeneration()
}

// ending reports whether the ranks of a run are to checkpoint and end.
func (l *lead) ending(run *pb.Run) bool {
	return run.GetStopRequested() || run.GetNext() != nil || l.moves(run)
}
