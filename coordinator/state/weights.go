package state

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// EditLead is how many steps an edit of a live run's mixture must lie ahead of the newest step
// known. The ranks need about one step to hear that they are to stop before it; when they hear
// too late, that costs a rewind, never the edit.
const EditLead = 4

// setWeights changes what a run mixes from a future step on. The run is the same function of its
// steps before that one, so every checkpoint stays good. A live generation goes on under what it
// began with, but not past that step: it is asked to checkpoint and end, the next one knows the
// edit from its start, and what the old one should still say of later steps is superseded.
func (c *change) setWeights(x *pb.SetWeights) {
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	if why := editable(r, x); why != "" {
		c.refuse(pb.ApplyResult_CONFLICT, "%s", why)
		return
	}
	next := proto.CloneOf(x.Resolved)
	if Live(r) {
		if r.Next == nil || x.FromStep < r.NextStep {
			r.NextStep = x.FromStep
		}
		r.Next = next
	} else {
		r.Resolved = next
	}
	e := c.event(pb.EventKind_WEIGHTS_SET, r.Generation, x.FromStep-1,
		"the mixture changes from step %d on: %s", x.FromStep, x.Edit)
	e.Supersedes = r.Generation
}

// editable answers why an edit of the mixture cannot be taken, or "".
func editable(r *pb.Run, x *pb.SetWeights) string {
	now := Newer(r)
	known := max(newestStep(r), x.GetLastSeenStep())
	first := known + 1
	if Live(r) {
		known = max(known, r.ResumeStep)
		first = known + EditLead
	}
	switch {
	case x.GetResolved().GetTotalSteps() != now.GetTotalSteps(), changedInput(now, x.Resolved) != "":
		return fmt.Sprintf("the edit of run %s changes more than its mixture", r.Id)
	case x.BaseDigest != now.GetDigest():
		return fmt.Sprintf("run %s was edited meanwhile; look at it and try again", r.Id)
	case r.State == pb.RunState_SUCCEEDED:
		return fmt.Sprintf("run %s is %s: it has no step left to mix for", r.Id, r.State)
	case x.FromStep > now.GetTotalSteps():
		return fmt.Sprintf("step %d is beyond the %d steps of run %s", x.FromStep, now.GetTotalSteps(),
			r.Id)
	case x.FromStep < first:
		return fmt.Sprintf("run %s is at step %d: its mixture can change from step %d on, not from "+
			"step %d", r.Id, known, first, x.FromStep)
	}
	return ""
}

// Newer is the newest form of a run: what its next generation will run.
func Newer(r *pb.Run) *pb.ResolvedRun {
	if r.GetNext() != nil {
		return r.Next
	}
	return r.GetResolved()
}

// adopt makes an edit that a generation did not know count, now that the generation is over.
func adopt(r *pb.Run) {
	if r.Next != nil {
		r.Resolved, r.Next, r.NextStep = r.Next, nil, 0
	}
}
