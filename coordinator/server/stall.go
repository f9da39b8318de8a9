package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// dataWait is a wait for data that was told.
type dataWait struct {
	generation uint64
	since      time.Time
}

// stall tells a run's watchers when ranks begin to wait for data, and when none does any more. The
// events are of the moment: no Raft entry is behind them, and the bus does not keep them.
func (l *lead) stall(run *pb.Run) {
	var sources, where []string
	step := uint64(0)
	for i, p := range run.GetRanks() {
		r := l.report(run, p)
		if r.GetPhase() == pb.RankPhase_DEAD {
			return // the end of the generation says more
		}
		if len(r.GetWaitingFor()) == 0 {
			continue
		}
		sources = append(sources, r.GetWaitingFor()...)
		where = append(where, fmt.Sprintf("rank %d on %s", i, p.GetWorker()))
		step = max(step, r.GetStep()+1)
	}
	old, stalled := l.stalled[run.GetId()]
	if stalled && old.generation != run.GetGeneration() { // it ended in it, which was told
		delete(l.stalled, run.GetId())
		stalled = false
	}
	e := &pb.Event{Generation: run.GetGeneration(), Step: step, UnixMs: time.Now().UnixMilli()}
	switch {
	case len(where) > 0 && !stalled:
		slices.Sort(sources)
		l.stalled[run.GetId()] = dataWait{run.GetGeneration(), time.Now()}
		e.Kind = pb.EventKind_DATA_LATE
		e.Text = fmt.Sprintf("step %d waits for data of %s (%s)", step,
			strings.Join(slices.Compact(sources), ", "), strings.Join(where, ", "))
	case len(where) == 0 && stalled:
		delete(l.stalled, run.GetId())
		for _, p := range run.GetRanks() {
			e.Step = max(e.Step, l.report(run, p).GetStep()+1)
		}
		e.Kind = pb.EventKind_DATA_BACK
		e.Text = fmt.Sprintf("data is back: the step had been waiting for it for %v",
			time.Since(old.since).Round(time.Second))
	default:
		return
	}
	l.recorders.of(run).hub.show(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}})
}
