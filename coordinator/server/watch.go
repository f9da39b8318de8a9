package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// errOver ends a watch: the run is over and everything was sent.
var errOver = errors.New("run is over")

const (
	applyPoll = 20 * time.Millisecond
	// quietAfter is how long a watch of a finished run waits for items that telemetry may have
	// lost before it falls back to the checkpoint's curve.
	quietAfter = 10 * time.Second
)

// watcher sends one run's items to one client: each step once, in order, without gaps (I11).
type watcher struct {
	m      *member
	run    string
	stream pb.RunService_WatchServer
	last   uint64                           // newest step sent
	events map[uint64]map[pb.EventKind]bool // sent
	floor  uint64                           // events up to this index were seen by the client
}

// Watch is served by any member. The stream's flow control is the only buffer (<= 8 MiB with the
// bus's own), so a slow client slows nobody.
func (s runService) Watch(q *pb.WatchRequest, stream pb.RunService_WatchServer) error {
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return err
	}
	w := &watcher{m: s.m, run: run.GetId(), stream: stream, last: q.GetAfterStep(),
		floor: q.GetAfterEvent(), events: map[uint64]map[pb.EventKind]bool{}}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	heard := make(chan struct{}, 1)
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		w.awaitQuiet(ctx, heard, cancel)
	}()
	err = s.m.bus.Follow(ctx, w.run, func(item *pb.WatchItem) error {
		select {
		case heard <- struct{}{}:
		default:
		}
		return w.take(ctx, item)
	})
	cancel()
	<-quiet
	switch {
	case errors.Is(err, errOver):
		return nil
	case stream.Context().Err() != nil:
		return status.FromContextError(stream.Context().Err()).Err()
	case errors.Is(err, context.Canceled):
		return w.fromCheckpoint()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// awaitQuiet ends the follow when the run is over and telemetry has nothing more to say.
func (w *watcher) awaitQuiet(ctx context.Context, heard <-chan struct{}, stop func()) {
	timer := time.NewTimer(quietAfter)
	defer timer.Stop()
	for {
		select {
		case <-heard:
			timer.Reset(quietAfter)
		case <-timer.C:
			if run, ok := w.m.machine.Run(w.run); ok && state.Over(run) {
				stop()
				return
			}
			timer.Reset(quietAfter)
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) take(ctx context.Context, item *pb.WatchItem) error {
	if s := item.GetStep(); s != nil {
		return w.step(ctx, s)
	}
	if e := item.GetEvent(); e != nil {
		return w.event(ctx, e)
	}
	return nil
}

func (w *watcher) step(ctx context.Context, s *pb.StepRecord) error {
	if s.GetStep() > w.last+1 {
		w.fill(ctx, s.GetStep()-1)
	}
	if s.GetStep() <= w.last {
		return nil
	}
	w.last = s.GetStep()
	return w.stream.Send(&pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}})
}

// fill sends steps that telemetry no longer has, from the newest checkpoint's curve.
func (w *watcher) fill(ctx context.Context, upTo uint64) {
	run, ok := w.m.machine.Run(w.run)
	if !ok {
		return
	}
	curve, err := newestCurve(ctx, run)
	if err != nil {
		w.m.cfg.Log.Warn().Err(err).Str("run", w.run).Msg("fill gap for a watcher")
		return
	}
	for _, s := range curve {
		if s.GetStep() != w.last+1 || s.GetStep() > upTo {
			continue
		}
		w.last = s.GetStep()
		if w.stream.Send(&pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}}) != nil {
			return
		}
	}
}

func (w *watcher) event(ctx context.Context, e *pb.Event) error {
	if w.events[e.GetIndex()][e.GetKind()] {
		return nil
	}
	if w.events[e.GetIndex()] == nil {
		w.events[e.GetIndex()] = map[pb.EventKind]bool{}
	}
	w.events[e.GetIndex()][e.GetKind()] = true
	if e.GetKind() == pb.EventKind_RUN_RESUMED {
		w.last = min(w.last, e.GetStep()) // what follows supersedes it
	}
	if e.GetIndex() > w.floor {
		if err := w.stream.Send(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}); err != nil {
			return err
		}
	}
	switch e.GetKind() {
	case pb.EventKind_RUN_SUCCEEDED, pb.EventKind_RUN_STOPPED, pb.EventKind_RUN_FAILED:
		return w.maybeOver(ctx, e)
	}
	return nil
}

// maybeOver ends the watch unless the run was resumed after this event. This member may not have
// applied the entry behind the event yet.
func (w *watcher) maybeOver(ctx context.Context, e *pb.Event) error {
	for w.m.machine.AppliedIndex() < e.GetIndex() {
		select {
		case <-time.After(applyPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	run, ok := w.m.machine.Run(w.run)
	if ok && state.Over(run) && run.GetGeneration() == e.GetGeneration() {
		return errOver
	}
	return nil
}

// fromCheckpoint ends the watch of a finished run whose telemetry is gone.
func (w *watcher) fromCheckpoint() error {
	run, ok := w.m.machine.Run(w.run)
	if !ok {
		return nil
	}
	w.fill(w.stream.Context(), state.Newest(run).GetStep())
	for _, e := range run.GetEvents() {
		if !w.events[e.GetIndex()][e.GetKind()] && e.GetIndex() > w.floor {
			if err := w.stream.Send(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}); err != nil {
				return err
			}
		}
	}
	return nil
}
