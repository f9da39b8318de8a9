package server

import (
	"testing"
	"testing/synctest"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI11_FastGenerationsReplaceSteps: in fast numerics a replayed step comes out otherwise. The
// event that makes the new generation takes the old steps back, late ones of the old generation
// are dropped, and a new leader learns it all from the bus.
func TestI11_FastGenerationsReplaceSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newBus()
		d := newDesk(t, bus)
		fast := func(generation, step uint64, loss float64) *pb.StepRecord {
			s := stepRecord(step, loss)
			s.Generation, s.Numerics = generation, "fast"
			return s
		}
		d.hears(1, fast(1, 1, 1), fast(1, 2, 2), fast(1, 3, 3))
		again := &pb.Event{Kind: pb.EventKind_GENERATION_ASSIGNED, Index: 9, Generation: 2, Step: 1,
			Supersedes: 1}
		d.happens(again)
		d.hears(1, fast(1, 4, 4)) // late
		d.hears(2, fast(2, 2, 2.5), fast(2, 3, 3.5))
		expect(t, "on the bus", text(bus.items), "1 2 3 GENERATION_ASSIGNED@9 2(2.5) 3(3.5)")
		if len(d.posted) > 0 {
			t.Errorf("the recorder posted %v", d.posted)
		}
		d.stop()
		next := newDesk(t, bus)
		next.hears(2, fast(2, 3, 3.5), fast(2, 4, 4.5))
		expect(t, "after the next leader", text(bus.items),
			"1 2 3 GENERATION_ASSIGNED@9 2(2.5) 3(3.5) 4(4.5)")
	})
}
