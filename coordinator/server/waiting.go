package server

import (
	"context"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// waitPoll is how often a watch looks whether its run waits for devices.
const waitPoll = 500 * time.Millisecond

// why is what a run lacks that the planner could not place, "" for all others. Only the leader
// knows.
func (l *lead) why(run string) string {
	why, _ := l.waiting.Load(run)
	s, _ := why.(string)
	return s
}

// explain adds to a waiting run why it waits.
func (l *lead) explain(run *pb.Run) {
	if why := l.why(run.GetId()); why != "" && run.GetState() == pb.RunState_PENDING {
		run.Reason = why
	}
}

// tellWaits tells the client why its run waits, and again when that changes. It lets history pass
// first. The events are of the moment: no Raft entry is behind them, and the bus keeps none.
func (w *watcher) tellWaits(ctx context.Context, l *lead) error {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	told, sent := "", uint64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		why := l.why(w.run)
		if why == told {
			continue
		}
		run, _ := w.m.machine.Run(w.run)
		if why == "" || run.GetState() != pb.RunState_PENDING {
			told = ""
			continue
		}
		w.mu.Lock()
		quiet, err := w.sent == sent, error(nil)
		if quiet {
			told = why
			e := &pb.Event{Kind: pb.EventKind_WAITING, Generation: run.GetGeneration(), Step: w.last,
				UnixMs: time.Now().UnixMilli(), Text: "waits: " + why}
			err = w.put(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}})
		}
		sent = w.sent
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
