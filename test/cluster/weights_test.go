package cluster

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI2I3_WeightsSetInMidRun changes the mixture of a run twice while it trains, and kills a
// worker before and after: curve and weights are those of an unbroken run whose spec has the same
// edits. An audit replays its data, the edits included, against the ledger.
func TestI2I3_WeightsSetInMidRun(t *testing.T) {
	want := control(t, long, "data.packing=best_fit", "data.edits=["+
		"{from_step: 120, weights: {zh: 1, en: 3, facts: 0}}, "+
		"{from_step: 170, weights: {zh: 2, en: 1, facts: 1}}]")
	c := newCluster(t, 1, 3)
	run := c.launch(long, "data.packing=best_fit", "resources.workers=1..3")
	w := c.watch(run)
	w.awaitStep(10)
	c.mustCLI("data", "set-weights", run, "zh=1,en=3,facts=0", "--at-step", "120")
	w.awaitStep(30)
	c.procs["w2"].kill()
	w.awaitStep(60)
	c.start("w2")
	for _, bad := range []struct{ weights, step, say string }{
		{"zh=1,en=1,facts=1", "30", "can change from step"},
		{"zh=1,en=1,facts=1", "241", "beyond the 240 steps"},
		{"zh=1,en=1", "200", `source "facts" has no weight`},
		{"zh=1,en=1,facts=1,fr=1", "200", `no source "fr"`},
	} {
		_, stderr, code := c.cli("data", "set-weights", run, bad.weights, "--at-step", bad.step)
		if code == 0 || !strings.Contains(stderr, bad.say) {
			t.Errorf("%s at step %s: exit code %d, %s", bad.weights, bad.step, code, stderr)
		}
	}
	c.mustCLI("data", "set-weights", run, "facts=1,zh=2,en=1", "--at-step", "170")
	w.awaitStep(130)
	c.procs["w3"].kill()
	got := &outcome{w.finish(), c.digest(run)}
	want.same(t, got.curve, got.digest)
	c.mustCLI("data", "audit", run)
	padding := uint64(0)
	for _, s := range got.curve {
		padding += s.GetPadding()
		for _, m := range s.GetMixture() {
			if m.GetOwed() <= -1 || m.GetOwed() >= 2 {
				t.Fatalf("step %d: the plan owes %s %g sequences (I10)", s.GetStep(), m.GetName(),
					m.GetOwed())
			}
		}
	}
	if padding == 0 {
		t.Error("best_fit left no padding: the test shows nothing")
	}
	if n := w.count(pb.EventKind_WEIGHTS_SET); n != 2 {
		t.Errorf("%d WEIGHTS_SET events, want 2", n)
	}
	for _, e := range w.events {
		if late := "before it heard"; strings.Contains(e.GetText(), late) {
			t.Logf("the ranks were too fast: %s", e.GetText())
		}
	}
	for _, s := range got.curve {
		facts := false
		for _, g := range s.GetLossBySource() {
			facts = facts || g.GetName() == "facts"
		}
		// What facts is owed when its weight falls to 0 it still gets: a sequence or two.
		if s.GetStep() > 125 && s.GetStep() < 170 && facts {
			t.Fatalf("step %d was trained on a source without weight", s.GetStep())
		}
	}
}
