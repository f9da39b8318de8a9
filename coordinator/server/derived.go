package server

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// derived are the events that follow from a step's record alone: what the spike policy and the
// guard did. They are made wherever a record is sent, so no leader has to remember them, and none
// can say them otherwise. Their index is 0: no Raft entry is behind them.
func derived(s *pb.StepRecord) []*pb.Event {
	var list []*pb.Event
	add := func(kind pb.EventKind, format string, args ...any) {
		list = append(list, &pb.Event{Kind: kind, Generation: s.GetGeneration(), Step: s.GetStep(),
			UnixMs: s.GetTimings().GetUnixMs(), Text: fmt.Sprintf(format, args...)})
	}
	if why := s.GetSkipped(); why != "" {
		add(pb.EventKind_UPDATE_SKIPPED, "update of step %d skipped: %s", s.GetStep(), why)
	}
	if why := s.GetGuard(); why != "" {
		add(pb.EventKind_GUARD_ALARM, "guard: %s", why)
	}
	return list
}

// putStep sends a step behind the events that follow from it. In this order none is lost with the
// connection: a client that has the step has had them, one that has not hears them again.
func (w *watcher) putStep(s *pb.StepRecord) error {
	for _, e := range derived(s) {
		if err := w.put(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}); err != nil {
			return err
		}
	}
	return w.put(&pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}})
}
