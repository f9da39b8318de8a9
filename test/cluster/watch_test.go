package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// watcher is a client that watches a run from its beginning to its end.
type watcher struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{} // closed when the watch has ended
	err    error         // set before done is closed

	mu      sync.Mutex
	steps   []*pb.StepRecord
	events  []*pb.Event
	changed chan struct{} // closed and replaced at every item
}

// watch connects a watcher that stays connected until the run is over.
func (c *cluster) watch(run string) *watcher {
	ctx, cancel := context.WithTimeoutCause(context.Background(), runWithin,
		fmt.Errorf("the watch of %s did not end within %v", run, runWithin))
	w := &watcher{t: c.t, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	own, err := client.New(c.members.Addresses())
	if err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		defer own.Close()
		w.err = own.Watch(ctx, run, client.Cursor{}, w.take, nil)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-w.done
		if c.t.Failed() {
			w.dump()
		}
	})
	return w
}

func (w *watcher) take(item *pb.WatchItem) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := item.GetStep(); s != nil {
		w.steps = append(w.steps, s)
	}
	if e := item.GetEvent(); e != nil {
		w.events = append(w.events, e)
		if e.GetKind() == pb.EventKind_RUN_RESUMED || e.GetSupersedes() > 0 { // what follows is new
			w.steps = slices.DeleteFunc(w.steps, func(s *pb.StepRecord) bool {
				return s.GetStep() > e.GetStep()
			})
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// await blocks until ok, called with the lock held, accepts what has been seen.
func (w *watcher) await(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(runWithin)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		good, changed := ok(), w.changed
		w.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-w.done:
			w.mu.Lock()
			good := ok()
			w.mu.Unlock()
			if good {
				return
			}
			w.t.Fatalf("the watch ended (%v) before %s", w.err, what)
		case <-deadline.C:
			w.t.Fatalf("waited %v for %s", runWithin, what)
		}
	}
}

// awaitStep waits until the watcher has seen a step.
func (w *watcher) awaitStep(step uint64) {
	w.t.Helper()
	w.await(fmt.Sprintf("step %d", step), func() bool {
		return len(w.steps) > 0 && w.steps[len(w.steps)-1].GetStep() >= step
	})
}

// awaitEvent waits for an event of this kind that match accepts, and returns it.
func (w *watcher) awaitEvent(kind pb.EventKind, match func(*pb.Event) bool) *pb.Event {
	w.t.Helper()
	var found *pb.Event
	w.await("event "+kind.String(), func() bool {
		for _, e := range w.events {
			if e.GetKind() == kind && (match == nil || match(e)) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// awaitGeneration waits until a generation of at least this number runs.
func (w *watcher) awaitGeneration(gen uint64) {
	w.t.Helper()
	w.awaitEvent(pb.EventKind_GENERATION_RUNNING, func(e *pb.Event) bool {
		return e.GetGeneration() >= gen
	})
}

// finish waits for the end of the watch and returns the whole curve.
func (w *watcher) finish() []*pb.StepRecord {
	w.t.Helper()
	<-w.done // the watch has a deadline
	if w.err != nil {
		w.t.Fatalf("watch: %v", w.err)
	}
	return w.steps
}

// count is how many events of a kind were seen.
func (w *watcher) count(kind pb.EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.GetKind() == kind {
			n++
		}
	}
	return n
}

func (w *watcher) dump() {
	var b strings.Builder
	for _, e := range w.events {
		switch e.GetKind() {
		case pb.EventKind_CHECKPOINT_COMMITTED, pb.EventKind_CHECKPOINT_RETIRED:
			continue // many, and seldom of interest
		}
		fmt.Fprintf(&b, "%s i%d g%d step %d %s: %s\n", time.UnixMilli(e.GetUnixMs()).Format("05.000"),
			e.GetIndex(), e.GetGeneration(), e.GetStep(), e.GetKind(), e.GetText())
	}
	w.t.Logf("---- watcher: %d steps, ended with %v; events:\n%s", len(w.steps), w.err, b.String())
}

// sameCurve demands the control's records: each step once, in order, no gap (I2, I3, I11).
func sameCurve(t *testing.T, want, got []*pb.StepRecord) {
	t.Helper()
	for i, r := range got {
		if r.GetStep() != uint64(i+1) {
			t.Fatalf("record %d of the curve is of step %d: a gap or a repetition", i+1, r.GetStep())
		}
		if i >= len(want) {
			break
		}
		if a, b := timeless(want[i]), timeless(r); !proto.Equal(a, b) {
			t.Fatalf("step %d of generation %d differs from the control:\n  %s\n  %s", r.GetStep(),
				r.GetGeneration(), protojson.Format(a), protojson.Format(b))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("the curve has %d steps, the control %d", len(got), len(want))
	}
}

// timeless drops what may differ between equal runs.
func timeless(r *pb.StepRecord) *pb.StepRecord {
	c := proto.CloneOf(r)
	c.Generation, c.Timings = 0, nil
	return c
}
