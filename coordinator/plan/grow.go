package plan

import (
	"fmt"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Growth is a run that should end its generation, at a checkpoint, for one with more ranks.
type Growth struct {
	Run        string
	Generation uint64
	Reason     string
}

// Grow answers the first running run, in queue order, that could make good use of devices which
// nobody waits for. It has committed a checkpoint since it was placed last, so that workers that
// come and go cost it no more than every other checkpoint; and it still has more than another one
// before it.
func Grow(st *pb.ClusterState, live []WorkerView) (Growth, bool) {
	views := withUsed(st, live)
	for _, run := range queue(st, pb.RunState_PENDING) {
		if fitsIdle(run, views) {
			return Growth{}, false
		}
	}
	for _, run := range queue(st, pb.RunState_RUNNING) {
		left := run.GetResolved().GetTotalSteps() - state.Newest(run).GetStep()
		if run.GetStopRequested() || run.GetNext() != nil ||
			left <= run.GetResolved().GetSpec().GetCheckpoint().GetEvery() ||
			!state.CommittedBy(run, run.GetGeneration()) {
			continue
		}
		p, _, ok := Gang(run, without(run, views))
		if now := len(run.GetRanks()); ok && largestShare(run, len(p.Ranks)) < largestShare(run, now) {
			return Growth{Run: run.GetId(), Generation: run.GetGeneration(),
				Reason: fmt.Sprintf("makes room for %s in place of %d", count(len(p.Ranks), "rank"),
					now)}, true
		}
	}
	return Growth{}, false
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
