package cluster

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// watched are the edits that evaluate two held-out sets, skip spiking updates, train the embeddings
// alone at first, and stop the run when the set of odd text is forgotten: text that the corpora do
// not have, so that training makes it less likely than the random base model takes it for.
func (c *cluster) watched() []string {
	c.t.Helper()
	odd := strings.Repeat("~|^<_QZ#=@", 40)
	path := c.path("odd.jsonl")
	if err := os.WriteFile(path, []byte("{\"text\": \""+odd+"\"}\n"), 0o644); err != nil {
		c.t.Fatal(err)
	}
	sets := fmt.Sprintf("[{name: odd, uri: %q, lang: en}, "+
		"{name: zh-held, uri: %q, lang: zh, max_sequences: 5}]", path, corpora()+"/zh-facts.jsonl")
	return []string{
		"eval={every: 4, sets: " + sets + ", guard: {set: odd, max_regression: 0.02, " +
			"action: stop, patience: 5}}",
		"train.spike={non_finite: skip, loss: skip, zscore: 0.5, window: 4, max_skips: 20}",
		"train.phases=[{until: 6, train: [embeddings, head], lr: 1e-3}]",
	}
}

// guarded waits for the guard to stop a run, and answers the curve up to there.
func (c *cluster) guarded(run string, w *watcher) *outcome {
	c.t.Helper()
	curve := w.finish()
	r := c.run(run)
	if r.GetState() != pb.RunState_STOPPED || !strings.Contains(r.GetReason(), "held-out set odd") {
		c.t.Fatalf("run %s is %s: %s", run, r.GetState(), r.GetReason())
	}
	skipped := 0
	for _, s := range curve {
		if s.GetSkipped() != "" {
			skipped++
		}
	}
	if skipped == 0 || skipped == len(curve) {
		c.t.Fatalf("%d of %d updates were skipped; the test needs some", skipped, len(curve))
	}
	if got := w.count(pb.EventKind_UPDATE_SKIPPED); got != skipped {
		c.t.Errorf("%d UPDATE_SKIPPED events for %d skipped updates", got, skipped)
	}
	if got := w.count(pb.EventKind_GUARD_ALARM); got != 1 {
		c.t.Errorf("%d GUARD_ALARM events, want 1", got)
	}
	if !slices.ContainsFunc(curve, func(s *pb.StepRecord) bool { return len(s.GetEval()) == 2 }) {
		c.t.Error("no evaluation in the curve")
	}
	return &outcome{curve, c.digest(run)}
}

// TestI3_EvaluationGuardAndSkipsSurviveKills stops a run by its guard, undisturbed on one worker,
// and on one to three while ranks, a worker and the leader are killed: the same curve, evaluations
// and skipped updates included. Both go on after the same edit, to the same end.
func TestI3_EvaluationGuardAndSkipsSurviveKills(t *testing.T) {
	single := newCluster(t, 1, 1)
	first := single.launch(append(single.watched(), "resources.workers=1")...)
	want := single.guarded(first, single.watch(first))
	stopped := uint64(len(want.curve))
	if stopped < 10 || stopped >= totalSteps {
		t.Fatalf("the guard stopped the control at step %d of %d; the test needs room", stopped,
			totalSteps)
	}
	edits := []string{"--set", "eval.every=7", "--set", "eval.guard.action=alarm",
		"--set", fmt.Sprint("train.steps=", stopped+20)}
	single.mustCLI(append([]string{"resume", first}, edits...)...)
	end := single.complete(first)

	c := newCluster(t, 3, 3)
	run := c.launch(append(c.watched(), "resources.workers=1..3")...)
	w := c.watch(run)
	w.awaitStep(3)
	c.procs["w2"].kill()
	w.awaitStep(stopped - 6)
	c.start("w2")
	leader := c.leader()
	c.procs[leader].kill()
	w.awaitStep(stopped)
	c.start(leader)
	got := c.guarded(run, w)
	if n := c.run(run).GetGeneration(); n < 2 {
		t.Fatalf("the run had %d generations: nothing hit it", n)
	}
	want.same(t, got.curve, got.digest)

	c.mustCLI(append([]string{"resume", run}, edits...)...)
	w = c.watch(run)
	w.awaitStep(stopped + 3)
	for _, pid := range append(c.procs["w1"].ranks(), c.procs["w3"].ranks()...) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	}
	curve := w.finish()
	end.same(t, curve, c.digest(run))
	if len(curve[stopped].GetEvalBase()) > 0 {
		t.Error("the resume took a new baseline")
	}
	for _, r := range curve[stopped:] {
		due := r.GetStep()%7 == 0 || r.GetStep() == stopped+20
		if due != (len(r.GetEval()) == 2) {
			t.Errorf("step %d of the edited run has %d evaluations", r.GetStep(), len(r.GetEval()))
		}
	}
}

// TestI3_GoingBackSurvivesKills trains under a policy that goes back before spikes, undisturbed on
// one worker, and on one to three while ranks, a worker and the leader are killed: the same spikes,
// the same updates left out, the same curve, and each step once.
func TestI3_GoingBackSurvivesKills(t *testing.T) {
	edits := []string{"train.spike={loss: rewind, zscore: 0.5, window: 4, back: 4, ahead: 2, " +
		"max_rewinds: 20}"}
	single := newCluster(t, 1, 1)
	first := single.launch(append(edits, "resources.workers=1")...)
	want := single.complete(first)
	spikes := single.run(first).GetLeftOut()
	if len(spikes) < 2 {
		t.Fatalf("spikes are %v; the test needs some", spikes)
	}
	left := func(step uint64) bool {
		return slices.ContainsFunc(spikes, func(x *pb.LeftOut) bool {
			return x.GetFrom() <= step && step <= x.GetTo()
		})
	}
	for _, r := range want.curve {
		if left(r.GetStep()) != strings.Contains(r.GetSkipped(), "the run went back") {
			t.Errorf("step %d, skipped %q: left out are %v", r.GetStep(), r.GetSkipped(), spikes)
		}
	}

	c := newCluster(t, 3, 3)
	run := c.launch(append(edits, "resources.workers=1..3")...)
	w := c.watch(run)
	w.awaitStep(3)
	c.procs["w2"].kill()
	w.awaitEvent(pb.EventKind_SPIKE_REWIND, nil)
	leader := c.leader()
	c.procs[leader].kill()
	c.start("w2")
	w.awaitStep(spikes[len(spikes)-1].GetSpike())
	for _, pid := range append(c.procs["w1"].ranks(), c.procs["w3"].ranks()...) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	}
	c.start(leader)
	want.same(t, w.finish(), c.digest(run))
	if got := c.run(run).GetLeftOut(); !slices.EqualFunc(got, spikes, func(a, b *pb.LeftOut) bool {
		return proto.Equal(a, b)
	}) {
		t.Errorf("left out are %v, want %v", got, spikes)
	}
	if got := w.count(pb.EventKind_SPIKE_REWIND); got != len(spikes) {
		t.Errorf("%d SPIKE_REWIND events for %d spikes", got, len(spikes))
	}
}

// TestI11_FastRunSurvivesAKill: in fast numerics a replayed step comes out otherwise. That stops no
// run: a watcher gets such steps again after the event that takes them back, and each step of the
// history that survives once.
func TestI11_FastRunSurvivesAKill(t *testing.T) {
	c := newCluster(t, 1, 3)
	run := c.launch("train.numerics=fast", "resources.workers=1..3", "train.steps=120")
	w := c.watch(run)
	w.awaitStep(13)
	c.procs["w2"].kill()
	curve := w.finish()
	if r := c.run(run); r.GetState() != pb.RunState_SUCCEEDED || r.GetGeneration() < 2 {
		t.Fatalf("run %s is %s at generation %d: %s", run, r.GetState(), r.GetGeneration(), r.GetReason())
	}
	last := uint64(0)
	for i, s := range curve {
		if s.GetStep() != uint64(i+1) || s.GetGeneration() < last || s.GetNumerics() != "fast" {
			t.Fatalf("record %d is of step %d, generation %d after %d, numerics %q", i+1, s.GetStep(),
				s.GetGeneration(), last, s.GetNumerics())
		}
		last = s.GetGeneration()
	}
	for _, e := range w.events {
		for _, s := range curve {
			if s.GetStep() > e.GetStep() && s.GetGeneration() <= e.GetSupersedes() {
				t.Fatalf("step %d is of generation %d, which event %d at step %d supersedes", s.GetStep(),
					s.GetGeneration(), e.GetIndex(), e.GetStep())
			}
		}
	}
	if len(curve) != 120 || last < 2 {
		t.Fatalf("%d steps, the last of generation %d", len(curve), last)
	}
}
