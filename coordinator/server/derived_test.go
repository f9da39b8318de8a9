package server

import (
	"strings"
	"testing"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI11_DerivedEventsComeOnceBeforeTheirStep: whether bus or hub brings a step, and how often,
// the events that follow from it come once, right before it.
func TestI11_DerivedEventsComeOnceBeforeTheirStep(t *testing.T) {
	v := &viewer{ctx: t.Context()}
	m := &member{cfg: testConfig(), machine: state.New()}
	w := &watcher{m: m, run: "r", stream: v,
		events: map[uint64]map[pb.EventKind]bool{}, early: map[uint64]*pb.StepRecord{}}
	records := []*pb.StepRecord{stepRecord(1, 1), stepRecord(2, 2), stepRecord(3, 3)}
	records[1].Skipped = "loss NaN, grad norm 1: not finite"
	records[2].Skipped, records[2].Guard = "loss 9 is a spike", "loss of en is 10% above"
	must(t, w.hurry(t.Context(), stepItem(records[2]))) // waits for the steps before it
	for _, r := range append(records, records...) {
		must(t, w.fromBus(t.Context(), stepItem(r)))
		must(t, w.hurry(t.Context(), stepItem(r)))
	}
	expect(t, "items", text(v.items), "1 UPDATE_SKIPPED@0 2 UPDATE_SKIPPED@0 GUARD_ALARM@0 3")
	e := v.items[1].GetEvent()
	if e.GetStep() != 2 || e.GetGeneration() != 1 || e.GetUnixMs() != 2 ||
		!strings.Contains(e.GetText(), "step 2 skipped: loss NaN") {
		t.Errorf("event %v", e)
	}
}
