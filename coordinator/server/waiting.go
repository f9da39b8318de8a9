package server

import (
	"context"
	"errors"
	"time"

	"github.com/banyan-train/banyan/coordinator/state"
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

// explain adds to a waiting run why it waits, and to a live one which checkpoint is late.
func (l *lead) explain(run *pb.Run) {
	late := l.lateEvent(run.GetId())
	if late.GetKind() == pb.EventKind_CHECKPOINT_LATE && state.Live(run) {
		run.Reason += "; " + late.GetText()
	}
	if why := l.why(run.GetId()); why != "" && run.GetState() == pb.RunState_PENDING {
		run.Reason = why
	}
}

// moments is what a client was told last of what is so at the moment. No Raft entry is behind such
// events, and the bus keeps none.
type moments struct {
	why  string    // its run waits
	sent uint64    // items, when that was looked at
	late *pb.Event // the newest of a checkpoint that is late
}

// tellMoments tells the client why its run waits, and which of its checkpoints is late, and again
// when that changes. It lets history pass first.
func (w *watcher) tellMoments(ctx context.Context, l *lead) error {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	m := &moments{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := errors.Join(w.tellWait(l, m), w.tellLate(l, m)); err != nil {
			return err
		}
	}
}

func (w *watcher) tellWait(l *lead, m *moments) error {
	why := l.why(w.run)
	if why == m.why {
		return nil
	}
	run, _ := w.m.machine.Run(w.run)
	if why == "" || run.GetState() != pb.RunState_PENDING {
		m.why = ""
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.sent == m.sent {
		m.why = why
		e := &pb.Event{Kind: pb.EventKind_WAITING, Generation: run.GetGeneration(), Step: w.last,
			UnixMs: time.Now().UnixMilli(), Text: "waits: " + why}
		err = w.put(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}})
	}
	m.sent = w.sent
	return err
}

func (w *watcher) tellLate(l *lead, m *moments) error {
	e := l.lateEvent(w.run)
	if e == m.late {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last+nearby < l.recorders.lastStep(w.run) {
		return nil // it still reads history
	}
	good := e == nil || e.GetKind() == pb.EventKind_CHECKPOINT_BACK
	news := e != nil && (m.late != nil || !good)
	m.late = e
	if good {
		m.late = nil
	}
	if !news {
		return nil
	}
	return w.put(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}})
}
