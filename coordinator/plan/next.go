package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Decision is what to do with one waiting run.
type Decision struct {
	Run string
	// Place: propose Assign. Otherwise the run waits, and Reason says for what.
	Place      bool
	Generation uint64
	ResumeStep uint64 // 0: from the base model
	Placement  Placement
	Reason     string
}

// Assign is the command that carries a decision out; nil for a run that waits. lastSeenStep is
// the newest step record known of the run, for the rewind event.
func (d Decision) Assign(lastSeenStep uint64) *pb.AssignGeneration {
	if !d.Place {
		return nil
	}
	return &pb.AssignGeneration{
		Run: d.Run, Generation: d.Generation, Ranks: d.Placement.Ranks,
		IsaClass: d.Placement.ISAClass, ResumeStep: d.ResumeStep, Reason: d.Reason,
		LastSeenStep: lastSeenStep,
	}
}

// Next decides about every PENDING run, in queue order. Devices that live generations hold, and
// those given away by an earlier decision of the same call, are taken. Decisions placed may be
// proposed in order, all of them.
func Next(st *pb.ClusterState, live []WorkerView) []Decision {
	views := withUsed(st, live)
	var out []Decision
	var blocker *Decision
	for _, run := range queue(st, pb.RunState_PENDING) {
		d := Decision{Run: run.Id, Generation: run.Generation + 1,
			ResumeStep: state.Newest(run).GetStep()}
		if blocker != nil {
			d.Reason = fmt.Sprintf("comes behind run %s, which is earlier in the queue and %s",
				blocker.Run, blocker.Reason)
			out = append(out, d)
			continue
		}
		d.Placement, d.Reason, d.Place = Gang(run, views)
		switch {
		case d.Place:
			take(views, run.Id, d.Placement.Ranks)
		case fitsIdle(run, views):
			blocker = &d
		}
		out = append(out, d)
	}
	return out
}

// queue orders the runs in a state, the waiting ones in the first place: priority descending, then
// launch order.
func queue(st *pb.ClusterState, in pb.RunState) []*pb.Run {
	var q []*pb.Run
	for _, r := range st.GetRuns() {
		if r.State == in {
			q = append(q, r)
		}
	}
	priority := func(r *pb.Run) int32 { return r.GetResolved().GetSpec().GetResources().GetPriority() }
	slices.SortStableFunc(q, func(a, b *pb.Run) int {
		switch pa, pb := priority(a), priority(b); {
		case pa > pb:
			return -1
		case pa < pb:
			return 1
		}
		return 0
	})
	return q
}

// withUsed copies the views and marks the devices that live generations hold.
func withUsed(st *pb.ClusterState, live []WorkerView) []WorkerView {
	views := slices.Clone(live)
	for i := range views {
		if views[i].Used = maps.Clone(views[i].Used); views[i].Used == nil {
			views[i].Used = map[int]string{}
		}
	}
	for _, r := range st.GetRuns() {
		take(views, r.Id, r.Ranks)
	}
	return views
}

// take marks the devices of ranks as held by a run.
func take(views []WorkerView, run string, ranks []*pb.RankPlace) {
	for _, p := range ranks {
		for _, v := range views {
			if v.ID == p.Worker {
				v.Used[int(p.Device)] = run
			}
		}
	}
}

// fitsIdle says whether the live workers could serve the run if they did nothing else.
func fitsIdle(run *pb.Run, views []WorkerView) bool {
	idle := slices.Clone(views)
	for i := range idle {
		idle[i].Used, idle[i].Busy = nil, 0
	}
	_, _, ok := Gang(run, idle)
	return ok
}

// Retire answers which checkpoints of a run may go, oldest first: all before the newest `keep`
// usable ones (at least one is kept, whatever the spec says). A corrupt checkpoint does not count
// as kept, and goes once all the kept ones are newer.
func Retire(run *pb.Run) []*pb.CheckpointRef {
	keep := max(1, int(run.GetResolved().GetSpec().GetCheckpoint().GetKeep()))
	refs := run.GetCheckpoints()
	for i := len(refs) - 1; i >= 0; i-- {
		if refs[i].GetCorrupt() {
			continue
		}
		if keep--; keep == 0 {
			return slices.Clone(refs[:i])
		}
	}
	return nil
}
