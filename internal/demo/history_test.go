package demo

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func stepItem(step, generation uint64) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Step{Step: &pb.StepRecord{Step: step,
		Generation: generation}}}
}

func add(t *testing.T, h *history, items ...*pb.WatchItem) {
	t.Helper()
	for _, i := range items {
		if err := h.Item(i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAwaitWakesUp(t *testing.T) {
	h := newHistory()
	done := make(chan error, 1)
	go func() {
		done <- h.await(t.Context(), "step 2", time.Minute,
			func(h *history) bool { return h.newest() >= 2 })
	}()
	add(t, h, stepItem(1, 1), stepItem(2, 1))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAwaitFailsWhenTheRunIsOver(t *testing.T) {
	h := newHistory()
	add(t, h, stepItem(1, 1))
	h.close()
	never := func(*history) bool { return false }
	expect(t, "over", h.await(t.Context(), "step 2", time.Minute, never),
		"the run was over before step 2")
	if err := h.await(t.Context(), "step 1", time.Minute,
		func(h *history) bool { return h.newest() == 1 }); err != nil {
		t.Errorf("over, but it was seen: %v", err)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	h := newHistory()
	never := func(*history) bool { return false }
	expect(t, "timeout", h.await(t.Context(), "step 2", time.Millisecond, never),
		"waited 1ms in vain for step 2")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if err := h.await(ctx, "step 2", time.Minute, never); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHistoryFinds(t *testing.T) {
	h := newHistory()
	add(t, h, stepItem(1, 1), stepItem(2, 2),
		&pb.WatchItem{Item: &pb.WatchItem_Event{Event: &pb.Event{Kind: pb.EventKind_REWIND,
			Generation: 2}}})
	if s, ok := h.first(func(s seenStep) bool { return s.GetGeneration() == 2 }); !ok ||
		s.GetStep() != 2 || s.at.IsZero() {
		t.Errorf("first of generation 2: %v %v", s, ok)
	}
	if _, ok := h.first(func(s seenStep) bool { return s.GetStep() == 3 }); ok {
		t.Error("found a step that never came")
	}
	if h.event(pb.EventKind_REWIND, 0) == nil || h.event(pb.EventKind_REWIND, 2) == nil {
		t.Error("rewind not found")
	}
	if h.event(pb.EventKind_REWIND, 1) != nil || h.event(pb.EventKind_RUN_FAILED, 0) != nil {
		t.Error("found an event that never came")
	}
}
