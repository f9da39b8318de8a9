package plan

import (
	"fmt"
	"slices"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Move is a run that should end its generation, at a checkpoint, for another one.
type Move struct {
	Run        string
	Generation uint64
	Reason     string
}

// Moves answers the running runs that have to leave a drained worker, in queue order, and if there
// are none the first that could make good use of devices which nobody waits for.
func Moves(st *pb.ClusterState, live []WorkerView) []Move {
	views := withUsed(st, live)
	var running []*pb.Run
	for _, run := range queue(st, pb.RunState_RUNNING) {
		if !run.GetStopRequested() && run.GetNext() == nil { // else it ends anyway
			running = append(running, run)
		}
	}
	var leave []Move
	for _, run := range running {
		if w := drainedOf(run, views); w != "" {
			leave = append(leave, Move{run.GetId(), run.GetGeneration(),
				fmt.Sprintf("leaves worker %s, which is drained", w)})
		}
	}
	if len(leave) > 0 {
		return leave
	}
	for _, run := range queue(st, pb.RunState_PENDING) {
		if fitsIdle(run, views) {
			return nil
		}
	}
	for _, run := range running {
		if n := roomFor(run, views); n > 0 {
			return []Move{{run.GetId(), run.GetGeneration(), fmt.Sprintf(
				"makes room for %s in place of %d", count(n, "rank"), len(run.GetRanks()))}}
		}
	}
	return nil
}

// drainedOf is a drained worker that serves a run, "" if there is none.
func drainedOf(run *pb.Run, views []WorkerView) string {
	for _, p := range run.GetRanks() {
		if slices.ContainsFunc(views, func(w WorkerView) bool { return w.ID == p.Worker && w.Drained }) {
			return p.Worker
		}
	}
	return ""
}

// roomFor is how many ranks a running run could have so that its busiest has less to do, 0 if it
// should stay as it is. It has committed a checkpoint since it was placed last, so that workers
// that come and go cost it no more than every other checkpoint; and it still has more than another
// one before it.
func roomFor(run *pb.Run, views []WorkerView) int {
	left := run.GetResolved().GetTotalSteps() - state.Newest(run).GetStep()
	if left <= run.GetResolved().GetSpec().GetCheckpoint().GetEvery() ||
		!state.CommittedBy(run, run.GetGeneration()) {
		return 0
	}
	p, _, ok := Gang(run, without(run, views))
	if !ok || largestShare(run, len(p.Ranks)) >= largestShare(run, len(run.GetRanks())) {
		return 0
	}
	return len(p.Ranks)
}

// without is views with the devices of a run free.
func without(run *pb.Run, views []WorkerView) []WorkerView {
	out := withUsed(nil, views)
	for _, v := range out {
		for d, holder := range v.Used {
			if holder == run.GetId() {
				delete(v.Used, d)
			}
		}
	}
	return out
}

// largestShare is how many leaves the busiest of n ranks has: what a step waits for.
func largestShare(run *pb.Run, n int) int {
	leaves := int(run.GetResolved().GetSpec().GetTrain().GetLogicalShards())
	return (leaves + n - 1) / n
}
