package state

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// goBack takes a run back before the spike of a step: the updates around it are left out from now
// on, and checkpoints that have any of them are retired. What is left out follows from the spec and
// the step alone, not from the checkpoints there are: so any number of failures gives the same run.
// It answers why the run may not go back once more, or "".
func (c *change) goBack(r *pb.Run, spike uint64) string {
	policy := r.Resolved.GetSpec().GetTrain().GetSpike()
	if n := len(r.LeftOut); n >= int(policy.GetMaxRewinds()) {
		return fmt.Sprintf("the run has gone back %s before (train.spike.max_rewinds)",
			count(n, "time"))
	}
	// What an edit has put behind it stays: no older checkpoint is of this run.
	from := max(spike-min(spike-1, uint64(policy.GetBack())), r.EditedStep+1)
	to := min(spike+uint64(policy.GetAhead()), r.Resolved.GetTotalSteps())
	r.LeftOut = append(r.LeftOut, &pb.LeftOut{Spike: spike, From: from, To: to})
	c.retireAfter(r, from-1, fmt.Sprintf("by the spike of step %d", spike))
	e := c.event(pb.EventKind_SPIKE_REWIND, r.Generation, from-1,
		"goes back before the spike of step %d: the updates of steps %d to %d are left out",
		spike, from, to)
	e.Supersedes = r.Generation
	return ""
}
