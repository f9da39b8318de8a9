package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// seenStep is a step record and when it came.
type seenStep struct {
	*pb.StepRecord
	at time.Time
}

// history is everything a watcher has seen of one run, in order. Safe for concurrent use.
type history struct {
	mu      sync.Mutex
	steps   []seenStep
	events  []*pb.Event
	over    bool
	changed chan struct{} // closed and replaced at every change
}

func newHistory() *history { return &history{changed: make(chan struct{})} }

// Item adds one item; it fits client.Watch.
func (h *history) Item(item *pb.WatchItem) error {
	h.change(func() {
		if s := item.GetStep(); s != nil {
			h.steps = append(h.steps, seenStep{s, time.Now()})
		}
		if e := item.GetEvent(); e != nil {
			h.events = append(h.events, e)
		}
	})
	return nil
}

// close says that the run is over: what is not here will not come.
func (h *history) close() { h.change(func() { h.over = true }) }

func (h *history) change(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
	close(h.changed)
	h.changed = make(chan struct{})
}

// await waits until the run is as a predicate wants it, and fails when it cannot be any more.
// The predicate holds the lock.
func (h *history) await(ctx context.Context, what string, within time.Duration,
	until func(*history) bool,
) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within,
		fmt.Errorf("waited %v in vain for %s", within, what))
	defer cancel()
	for {
		h.mu.Lock()
		ok, over, changed := until(h), h.over, h.changed
		h.mu.Unlock()
		if ok {
			return nil
		}
		if over {
			return fmt.Errorf("the run was over before %s", what)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// newest is the last step seen; 0: none. The caller holds the lock, or the run is over.
func (h *history) newest() uint64 {
	if len(h.steps) == 0 {
		return 0
	}
	return h.steps[len(h.steps)-1].GetStep()
}

// event is the first event of a kind in a generation (0: any), or nil. Locking as newest.
func (h *history) event(kind pb.EventKind, generation uint64) *pb.Event {
	for _, e := range h.events {
		if e.GetKind() == kind && (generation == 0 || e.GetGeneration() == generation) {
			return e
		}
	}
	return nil
}

// first is the first step record that a predicate accepts. Locking as newest.
func (h *history) first(ok func(seenStep) bool) (seenStep, bool) {
	for _, s := range h.steps {
		if ok(s) {
			return s, true
		}
	}
	return seenStep{}, false
}
