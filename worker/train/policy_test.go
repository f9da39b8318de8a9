package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
)

// weights is one kind of a checkpoint, by tensor name.
func (g *generation) weights(t *testing.T, kind manifest.Kind) map[string][]float32 {
	t.Helper()
	r, err := checkpoint.Open(t.Context(), g.f.opener, g.committed.GetUri(), g.committed.GetDigest())
	must(t, err)
	out := map[string][]float32{}
	for i, u := range model.Units(g.f.resolved.GetModel()) {
		all := make([]float32, u.Size)
		must(t, r.Read(t.Context(), i, kind, 0, u.Size, all))
		for _, p := range u.Params {
			out[p.Name] = all[p.Offset : p.Offset+p.Len()]
		}
	}
	return out
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y)
	})
}

// phased trains the embeddings for two steps, the norms and one block for one, then everything.
func phased(t *testing.T, s shape) *fixture {
	f := newFixture(t, s)
	f.resolved.Spec.Train.Phases = []*pb.Phase{
		{Until: &pb.Span{Steps: 2}, Train: []string{"embeddings", "head"}, Lr: 3e-3},
		{Until: &pb.Span{Steps: 3}, Train: []string{"norms", "model.layers.1.*"}},
	}
	return f
}

// until runs the fixture's run from a checkpoint up to a step, and gives the generation.
func (f *fixture) until(t *testing.T, number uint64, world int, from *generation, step uint64,
) *generation {
	t.Helper()
	g := &generation{f: f, number: number, world: world, threads: 1, stopAt: step - 1}
	if from != nil {
		g.restore = from.committed
	}
	g.stop = g.restore.GetStep() == step-1 // the exchange of the next step hears of it
	g.run(t)
	if got := g.committed.GetStep(); got != step {
		t.Fatalf("stopped at step %d, want %d", got, step)
	}
	return g
}

// TestPhasesFreeze looks into checkpoints at the ends of phases: what is frozen keeps its bits, and
// what begins late takes a first step as long as its rate, which it would not without moments and a
// bias correction of its own.
func TestPhasesFreeze(t *testing.T) {
	s := small
	s.tied, s.every = false, 1
	f := phased(t, s)
	f.resolved.Spec.Train.Optimizer.WeightDecay = 0
	base := f.until(t, 1, 1, nil, 1) // embeddings and head have moved once
	second := f.until(t, 2, 2, base, 2)
	third := f.until(t, 3, 3, second, 3)
	for _, kind := range []manifest.Kind{manifest.KindParam, manifest.KindM, manifest.KindV} {
		a, b, c := base.weights(t, kind), second.weights(t, kind), third.weights(t, kind)
		for name := range a {
			early := optim.Selects("embeddings", name) || optim.Selects("head", name)
			late := optim.Selects("norms", name) || optim.Selects("model.layers.1.*", name)
			if moved := !sameBits(a[name], b[name]); moved != early {
				t.Errorf("step 2: %s of %s has moved: %v", kind, name, moved)
			}
			if moved := !sameBits(b[name], c[name]); moved != late {
				t.Errorf("step 3: %s of %s has moved: %v", kind, name, moved)
			}
		}
	}
	lr := third.records[0].GetLr()
	before, after := second.weights(t, manifest.KindParam), third.weights(t, manifest.KindParam)
	name := "model.layers.1.mlp.up_proj.weight"
	for i, x := range before[name] {
		if d := math.Abs(float64(after[name][i]) - float64(x)); d > 1e-9 && relative(d, lr) > 0.02 {
			t.Fatalf("first step of %s[%d] is %v, the rate is %v", name, i, d, lr)
		}
	}
	if got := base.records[0].GetLr(); got != 3e-3*1/2 { // step 1 of a warm-up of 2
		t.Errorf("rate of the first phase is %v", got)
	}
}

// TestPhaseNormLeavesFrozenOut: the norm of a phase is that of its parameters' gradients, so the
// norms of the parts add up to that of the whole.
func TestPhaseNormLeavesFrozenOut(t *testing.T) {
	s := small
	s.steps, s.every = 1, 1
	norm := func(parts ...string) float64 {
		f := newFixture(t, s)
		if len(parts) > 0 {
			f.resolved.Spec.Train.Phases = []*pb.Phase{{Until: &pb.Span{Steps: 1}, Train: parts}}
		}
		g := &generation{f: f, number: 1, world: 2, threads: 1}
		g.run(t)
		return g.records[0].GetGradNorm()
	}
	all, parts := norm(), 0.0
	for _, part := range [][]string{{"embeddings"}, {"norms"}, {"*proj*"}} {
		n := norm(part...)
		if n <= 0 || n >= all {
			t.Errorf("norm of %v is %v, of all %v", part, n, all)
		}
		parts += n * n
	}
	if d := relative(math.Sqrt(parts), all); d > 1e-6 {
		t.Errorf("the parts' norms make %v, all have %v", math.Sqrt(parts), all)
	}
}

// TestI3_PhasesAndSkips trains with phases and a policy that skips many steps, undisturbed, and in
// other worlds with a restart in each: one curve, one digest, in either precision.
func TestI3_PhasesAndSkips(t *testing.T) {
	for _, precision := range []pb.Precision{pb.Precision_FP32, pb.Precision_BF16} {
		t.Run(precision.String(), func(t *testing.T) { phasesAndSkips(t, precision) })
	}
}

func phasesAndSkips(t *testing.T, precision pb.Precision) {
	s := small
	s.steps, s.every = 9, 2
	make := func(sharding pb.Sharding) *fixture {
		s.sharding = sharding
		f := phased(t, s)
		f.resolved.Spec.Train.Precision = precision
		f.resolved.Spec.Train.Spike = &pb.Spike{NonFinite: pb.Spike_SKIP, Loss: pb.Spike_SKIP,
			Zscore: 0.25, Window: 2, MaxSkips: 5}
		return f
	}
	control := &generation{f: make(pb.Sharding_ZERO2), number: 1, world: 1, threads: 2}
	control.run(t)
	skipped := 0
	for _, r := range control.records {
		if r.GetSkipped() != "" {
			skipped++
		}
	}
	if skipped == 0 || skipped == len(control.records) {
		t.Fatalf("%d of %d steps were skipped; the test needs some", skipped, len(control.records))
	}
	for world, sharding := range map[int]pb.Sharding{2: pb.Sharding_ZERO3, 3: pb.Sharding_ZERO1} {
		f := make(sharding)
		first := f.until(t, 1, world, nil, 3) // between two skipped steps
		second := &generation{f: f, number: 2, world: 5 - world, threads: 1, restore: first.committed}
		second.run(t)
		what := fmt.Sprintf("worlds %d and %d", world, 5-world)
		sameCurve(t, what, control.records, append(first.records, second.records...))
		if a, b := control.digest(t), second.digest(t); a != b {
			t.Errorf("%s: digest %s, want %s", what, b, a)
		}
	}
}

// TestSkippedStepLeavesNoTrace: weights and moments after a skipped step are those before it.
func TestSkippedStepLeavesNoTrace(t *testing.T) {
	s := small
	s.lr, s.every, s.steps = 1e30, 1, 20
	f := newFixture(t, s)
	f.resolved.Spec.Train.Spike = &pb.Spike{NonFinite: pb.Spike_SKIP, MaxSkips: 3}
	first := f.until(t, 1, 2, nil, 1)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	g := &generation{f: f, number: 2, world: 2, threads: 1, restore: first.committed}
	err := g.try(ctx)
	var refused *RefusedUpdateError
	if !errors.As(err, &refused) || refused.Step != 5 || len(g.records) != 3 {
		t.Fatalf("want 3 skipped steps and step 5 refused, got %d records and %v", len(g.records), err)
	}
	for _, r := range g.records {
		if r.GetSkipped() == "" {
			t.Errorf("step %d was applied", r.GetStep())
		}
	}
	if g.committed.GetStep() < 2 { // the upload of the last one may be cut short
		t.Fatalf("newest checkpoint is of step %d", g.committed.GetStep())
	}
	if a, b := first.digest(t), g.digest(t); a != b {
		t.Errorf("skipped steps changed the weights: digest %s, then %s", a, b)
	}
}

// TestI3_GoingBack refuses a step under a policy that goes back, and trains again from before it,
// in several worlds: what is left out leaves no trace, whatever world and checkpoint it begins
// with.
func TestI3_GoingBack(t *testing.T) {
	s := small
	s.lr, s.every, s.steps = 1e30, 1, 20
	f := newFixture(t, s)
	f.resolved.Spec.Train.Spike = &pb.Spike{NonFinite: pb.Spike_REWIND}
	refused := func(g *generation) uint64 {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		var e *RefusedUpdateError
		if err := g.try(ctx); !errors.As(err, &e) || !e.Rewind {
			t.Fatalf("want a refused step and the way back, got %v", err)
		}
		return e.Step
	}
	first := f.until(t, 1, 2, nil, 1)
	if step := refused(&generation{f: f, number: 2, world: 2, threads: 1,
		restore: first.committed}); step != 2 {
		t.Fatalf("step %d was refused, want the first after a rate of 1e30", step)
	}
	without := []*pb.LeftOut{{Spike: 2, From: 1, To: 3}, {Spike: 2, From: 3, To: 4}}
	var records []*pb.StepRecord
	for world := 1; world <= 3; world++ {
		g := &generation{f: f, number: 2, world: world, threads: 1, leftOut: without}
		if step := refused(g); step != 6 {
			t.Fatalf("step %d was refused, want the one after the first that was applied", step)
		}
		for i, r := range g.records {
			if why := r.GetSkipped(); strings.Contains(why, "spike of step 2") != (i < 4) {
				t.Errorf("step %d: skipped: %q", r.GetStep(), why)
			}
		}
		if records == nil {
			records = g.records
		}
		sameCurve(t, fmt.Sprint("world ", world), records, g.records)
	}
	// Nothing of the steps left out is in the weights: these are the base model's still.
	none := f.until(t, 3, 2, nil, 1)
	second := &generation{f: f, number: 4, world: 2, threads: 1, leftOut: without, stopAt: 3}
	second.run(t)
	third := &generation{f: f, number: 5, world: 1, threads: 1, leftOut: without, stopAt: 1}
	third.run(t)
	if a, b := second.digest(t), third.digest(t); a != b || a == none.digest(t) {
		t.Errorf("digest %s after 4 steps left out, %s after 2, %s with the first applied", a, b,
			none.digest(t))
	}
}
