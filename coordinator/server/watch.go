package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// errOver ends a watch: the run is over and everything was sent.
var errOver = errors.New("run is over")

// errQuiet ends a watch of a finished run when the bus has nothing more to say.
var errQuiet = errors.New("telemetry is quiet")

const (
	applyPoll = 20 * time.Millisecond
	// quietAfter is how long a watch of a finished run waits for items that telemetry may have
	// lost before it falls back to the checkpoint's curve.
	quietAfter = 10 * time.Second
	// leaderlessAfter is how long a watch waits for somebody to lead before the bus alone serves it.
	leaderlessAfter = 5 * time.Second
)

// watcher sends one run's items to one client: each step once, in order, without gaps (I11). It
// takes them from the bus and, for speed, from this leader's hub, whichever has the next step.
type watcher struct {
	m      *member
	run    string
	stream pb.RunService_WatchServer

	mu     sync.Mutex                       // bus and hub deliver from two goroutines
	last   uint64                           // newest step sent
	early  map[uint64]*pb.StepRecord        // from the hub, waiting for the steps before them
	events map[uint64]map[pb.EventKind]bool // sent
	heard  chan struct{}                    // holds a token after an item has come or gone
	floor  uint64                           // events up to this index were seen by the client
	sent   uint64                           // items

	resumes    []*pb.Event // known, by index
	generation uint64      // newest one that resumes are known of
}

// Watch is served by the leader, or by any member while nobody leads. The stream's flow control is
// the only buffer (<= 8 MiB with the bus's and the hub's), so a slow client slows nobody.
func (s runService) Watch(q *pb.WatchRequest, stream pb.RunService_WatchServer) error {
	l, err := s.m.leadingSoon(stream.Context())
	if err != nil {
		return err
	}
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return err
	}
	w := &watcher{m: s.m, run: run.GetId(), stream: stream, last: q.GetAfterStep(),
		floor: q.GetAfterEvent(), events: map[uint64]map[pb.EventKind]bool{},
		early: map[uint64]*pb.StepRecord{}, heard: make(chan struct{}, 1)}
	w.learn(run)
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	heard := w.heard
	var helpers sync.WaitGroup
	helpers.Go(func() { w.awaitQuiet(ctx, heard, cancel) })
	if l != nil {
		helpers.Go(func() { cancel(w.fromHub(ctx, l, run)) })
		helpers.Go(func() { cancel(w.tellMoments(ctx, l)) })
	}
	err = s.m.bus.Follow(ctx, w.run, func(item *pb.WatchItem) error {
		select {
		case heard <- struct{}{}:
		default:
		}
		return w.fromBus(ctx, item)
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx) // what ended the watch from beside
	}
	cancel(nil)
	helpers.Wait()
	switch {
	case errors.Is(err, errOver):
		return nil
	case stream.Context().Err() != nil:
		return status.FromContextError(stream.Context().Err()).Err()
	case errors.Is(err, errQuiet):
		return w.fromCheckpoint()
	case errors.Is(err, errLeadershipLost):
		return s.m.notLeader()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// leadingSoon answers this member's leadership; the error that points at the leader when another
// member leads; nil and no error when nobody is known to lead for a while: then the bus alone
// serves.
func (m *member) leadingSoon(ctx context.Context) (*lead, error) {
	deadline := time.NewTimer(leaderlessAfter)
	defer deadline.Stop()
	for {
		l, err := m.leading()
		if err == nil || m.leaderAddress() != "" && m.leaderAddress() != m.grpcAddress() {
			return l, err
		}
		select {
		case <-time.After(applyPoll):
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// fromHub takes live items until the watch or the leadership ends.
func (w *watcher) fromHub(ctx context.Context, l *lead, run *pb.Run) error {
	tail, live, end := l.recorders.of(run).hub.subscribe()
	defer end()
	for _, item := range tail {
		if err := w.hurry(ctx, item); err != nil {
			return err
		}
	}
	for {
		select {
		case item := <-live:
			if err := w.hurry(ctx, item); err != nil {
				return err
			}
		case <-l.ended:
			return errLeadershipLost
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// nearby is how many steps a watcher may be off the moment of an event: ranks report at once what
// records tell by way of a recorder.
const nearby = 8

// hurry takes an item of the hub: a step that is not next waits, or is left to the bus; so is an
// event that closes the run before all its steps were sent.
func (w *watcher) hurry(ctx context.Context, item *pb.WatchItem) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := item.GetStep(); s != nil {
		if err := w.announce(ctx, s.GetGeneration(), 0); err != nil || superseded(w.resumes, s) {
			return err
		}
		if s.GetStep() > w.last+1 {
			if len(w.early) < hubBuffer {
				w.early[s.GetStep()] = s
			}
			return nil
		}
		return w.step(ctx, s)
	}
	e := item.GetEvent()
	if e.GetIndex() == 0 { // of the moment: nothing to a watcher who is at another one
		if e.GetStep()+nearby < w.last || e.GetStep() > w.last+nearby {
			return nil
		}
		return w.put(item)
	}
	if closing(e) && w.last < e.GetStep() {
		return nil
	}
	return w.event(ctx, e)
}

func (w *watcher) fromBus(ctx context.Context, item *pb.WatchItem) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := item.GetStep(); s != nil {
		if err := w.announce(ctx, s.GetGeneration(), 0); err != nil || superseded(w.resumes, s) {
			return err
		}
		if s.GetStep() > w.last+1 {
			if err := w.fill(ctx, s.GetStep()-1); err != nil {
				return err
			}
		}
		return w.step(ctx, s)
	}
	if e := item.GetEvent(); e != nil {
		if closing(e) && w.last < e.GetStep() {
			if err := w.fill(ctx, e.GetStep()); err != nil {
				return err
			}
		}
		return w.event(ctx, e)
	}
	return nil
}

// awaitQuiet ends the follow when the run is over and telemetry has nothing more to say.
func (w *watcher) awaitQuiet(ctx context.Context, heard <-chan struct{}, stop func(error)) {
	timer := time.NewTimer(quietAfter)
	defer timer.Stop()
	for {
		select {
		case <-heard:
			timer.Reset(quietAfter)
		case <-timer.C:
			if run, ok := w.m.machine.Run(w.run); ok && state.Over(run) {
				stop(errQuiet)
				return
			}
			timer.Reset(quietAfter)
		case <-ctx.Done():
			return
		}
	}
}

// step sends a step unless it was sent before, and then those that waited for it.
func (w *watcher) step(_ context.Context, s *pb.StepRecord) error {
	for s != nil && s.GetStep() > w.last {
		w.last = s.GetStep()
		delete(w.early, w.last)
		if err := w.putStep(s); err != nil {
			return err
		}
		s = w.early[w.last+1]
	}
	return nil
}

// put sends an item, and tells awaitQuiet that the watch is alive, however slow its client.
func (w *watcher) put(item *pb.WatchItem) error {
	err := w.stream.Send(item)
	w.sent++
	select {
	case w.heard <- struct{}{}:
	default:
	}
	return err
}

// fill sends steps that telemetry no longer has, from the newest checkpoint's curve. When the curve
// cannot be read the watch ends with an error rather than with a hole: the client comes back.
func (w *watcher) fill(ctx context.Context, upTo uint64) error {
	run, ok := w.m.machine.Run(w.run)
	if !ok || state.Newest(run).GetStep() <= w.last {
		return nil // no curve holds what is missing
	}
	curve, err := newestCurve(ctx, run)
	if err != nil {
		return fmt.Errorf("fill the curve from step %d: %w", w.last+1, err)
	}
	for _, s := range curve {
		if s.GetStep() != w.last+1 || s.GetStep() > upTo {
			continue
		}
		w.last = s.GetStep()
		if err := w.putStep(s); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) event(ctx context.Context, e *pb.Event) error {
	if err := w.announce(ctx, e.GetGeneration(), e.GetIndex()); err != nil {
		return err
	}
	return w.send(ctx, e)
}

// send sends an event unless it was sent before.
func (w *watcher) send(ctx context.Context, e *pb.Event) error {
	if w.events[e.GetIndex()][e.GetKind()] {
		return nil
	}
	if w.events[e.GetIndex()] == nil {
		w.events[e.GetIndex()] = map[pb.EventKind]bool{}
	}
	w.events[e.GetIndex()][e.GetKind()] = true
	if takesBack(e) {
		w.learn(&pb.Run{Events: []*pb.Event{e}})
		if e.GetIndex() > w.floor {
			w.last = min(w.last, e.GetStep()) // what follows supersedes it
			maps.DeleteFunc(w.early, func(step uint64, _ *pb.StepRecord) bool { return step > e.GetStep() })
		}
	}
	if e.GetIndex() > w.floor {
		if err := w.put(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}); err != nil {
			return err
		}
	}
	if closing(e) {
		return w.maybeOver(ctx, e)
	}
	return nil
}

// closing tells the events that may end a run.
func closing(e *pb.Event) bool {
	switch e.GetKind() {
	case pb.EventKind_RUN_SUCCEEDED, pb.EventKind_RUN_STOPPED, pb.EventKind_RUN_FAILED:
		return true
	}
	return false
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
	if !ok || !state.Over(run) || run.GetGeneration() != e.GetGeneration() {
		return nil
	}
	w.learn(run)
	for _, x := range w.resumes {
		if x.GetIndex() > e.GetIndex() {
			return nil
		}
	}
	return errOver
}

// fromCheckpoint ends the watch of a finished run whose telemetry is gone.
func (w *watcher) fromCheckpoint() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	run, ok := w.m.machine.Run(w.run)
	if !ok {
		return nil
	}
	if err := w.fill(w.stream.Context(), state.Newest(run).GetStep()); err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	for _, e := range run.GetEvents() {
		if !w.events[e.GetIndex()][e.GetKind()] && e.GetIndex() > w.floor {
			if err := w.stream.Send(&pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}); err != nil {
				return err
			}
		}
	}
	return nil
}
