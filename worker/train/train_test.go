package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestMain is also that of the rank processes of the benchmarks.
func TestMain(m *testing.M) {
	if rank, err := strconv.Atoi(os.Getenv(benchVariable)); err == nil {
		if err := benchRank(context.Background(), rank); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

var small = shape{globalBatch: 12, microBatch: 1, logicalShards: 8, steps: 6, every: 3,
	sharding: pb.Sharding_ZERO3, tied: true, lr: 1e-2}

// TestI3_SameBitsForEveryWorld trains the same run in worlds beyond those of the matrix, up to as
// many ranks as logical shards: one curve, one digest.
func TestI3_SameBitsForEveryWorld(t *testing.T) {
	f := newFixture(t, small)
	control := &generation{f: f, number: 1, world: 1, threads: 1}
	control.run(t)
	want := control.digest(t)
	if first, last := control.records[0].GetLoss(), control.records[5].GetLoss(); last >= first {
		t.Fatalf("loss does not fall: %v to %v", first, last)
	}
	for i, world := range []int{5, 8} {
		sharding := []pb.Sharding{pb.Sharding_ZERO1, pb.Sharding_ZERO3}[i]
		g := &generation{number: 1, world: world, threads: 1 + i,
			f: f.with(t, func(train *pb.Train) { train.Sharding = sharding })}
		what := fmt.Sprintf("world %d, %v", world, sharding)
		g.run(t)
		sameCurve(t, what, control.records, g.records)
		if got := g.digest(t); got != want {
			t.Fatalf("%s: digest %s, want %s", what, got, want)
		}
	}
}

// TestI3_UnevenShards has leaves of different sizes and a number of leaves that is no power of two.
func TestI3_UnevenShards(t *testing.T) {
	s := small
	s.globalBatch, s.microBatch, s.logicalShards, s.steps, s.every = 14, 2, 5, 3, 3
	f := newFixture(t, s)
	control := &generation{f: f, number: 1, world: 1, threads: 2}
	control.run(t)
	for _, world := range []int{3, 5} {
		for _, sharding := range []pb.Sharding{pb.Sharding_ZERO1, pb.Sharding_ZERO2} {
			g := &generation{number: 1, world: world, threads: 1,
				f: f.with(t, func(train *pb.Train) { train.Sharding = sharding })}
			g.run(t)
			sameCurve(t, fmt.Sprintf("world %d, %v", world, sharding), control.records, g.records)
		}
	}
}

// TestI2_ResumeInAnotherWorld stops a run in one world and goes on in others: the surviving
// history is that of an undisturbed run, data, curve and weights alike. One of its sources is
// staged: by one rank for the undisturbed run, by three for the other.
func TestI2_ResumeInAnotherWorld(t *testing.T) {
	f := newFixture(t, small)
	f.resolved.GetCorpus().GetSources()[0].Staged = true
	control := &generation{f: f, number: 1, world: 1, threads: 1}
	control.run(t)
	g := f.with(t, func(*pb.Train) {})
	first := &generation{f: g, number: 1, world: 3, threads: 1, stopAt: 2}
	first.run(t)
	if n := first.committed.GetStep(); n < 2 || n >= small.steps {
		t.Fatalf("stopped at step %d", n)
	}
	second := &generation{f: g, number: 2, world: 2, threads: 2, restore: first.committed,
		stopAt: first.committed.GetStep() + 1}
	second.run(t)
	third := &generation{f: g, number: 3, world: 4, threads: 1, restore: second.committed}
	third.run(t)
	curve := append(append(first.records, second.records...), third.records...)
	sameCurve(t, "three generations", control.records, curve)
	if a, b := control.digest(t), third.digest(t); a != b {
		t.Fatalf("digest %s, want %s", b, a)
	}
	// A generation that begins at the last step has nothing to do.
	last := &generation{f: g, number: 4, world: 2, threads: 1, restore: third.committed,
		committed: third.committed}
	last.run(t)
	if len(last.records) > 0 {
		t.Fatalf("%d steps were made beyond the last", len(last.records))
	}
	tokens := uint64(0)
	for _, r := range curve {
		for _, s := range r.GetLossBySource() {
			tokens += s.GetTargets()
		}
		if r.GetTokens() != tokens {
			t.Fatalf("step %d: %d tokens, the sources have %d", r.GetStep(), r.GetTokens(), tokens)
		}
	}
}

// TestNonFiniteStopsBeforeTheWeights drives the loss out of range: every rank must refuse the
// update with the step's number, and no checkpoint may hold the damage.
func TestNonFiniteStopsBeforeTheWeights(t *testing.T) {
	s := small
	s.lr, s.every, s.steps = 1e30, 100, 20
	g := &generation{f: newFixture(t, s), number: 1, world: 2, threads: 1}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	err := g.try(ctx)
	var bad *RefusedUpdateError
	if !errors.As(err, &bad) {
		t.Fatalf("want a RefusedUpdateError, got %v", err)
	}
	if bad.Step != uint64(len(g.records))+1 {
		t.Fatalf("refused step %d after %d records", bad.Step, len(g.records))
	}
	if g.committed != nil {
		t.Fatalf("checkpoint of step %d was committed", g.committed.GetStep())
	}
}

// TestReductionAgreesWithOneMicroBatch: cutting a batch into leaves changes the rounding, not the
// sum. Loss and norm of the first step must be those of the whole batch in one micro-batch, and the
// curves must stay together.
func TestReductionAgreesWithOneMicroBatch(t *testing.T) {
	s := small
	s.microBatch, s.logicalShards = s.globalBatch, 1
	whole := &generation{f: newFixture(t, s), number: 1, world: 1, threads: 2}
	whole.run(t)
	cut := &generation{f: newFixture(t, small), number: 1, world: 3, threads: 1}
	cut.run(t)
	for i, a := range whole.records {
		b := cut.records[i]
		tolerance := 1e-5
		if i > 0 {
			tolerance = 1e-3 // rounding grows through the updates
		}
		if d := relative(a.GetLoss(), b.GetLoss()); d > tolerance {
			t.Errorf("step %d: loss %v and %v, relative difference %.1e", i+1, a.GetLoss(),
				b.GetLoss(), d)
		}
		if d := relative(a.GetGradNorm(), b.GetGradNorm()); d > tolerance {
			t.Errorf("step %d: norm %v and %v, relative difference %.1e", i+1, a.GetGradNorm(),
				b.GetGradNorm(), d)
		}
		if a.GetDataDigest() != b.GetDataDigest() || a.GetTokens() != b.GetTokens() {
			t.Errorf("step %d: other data", i+1)
		}
	}
}

// TestFastIsTheSameSumInAnotherOrder: fast records say so, stay close to the reproducible curve,
// and depend on the world.
func TestFastIsTheSameSumInAnotherOrder(t *testing.T) {
	f := newFixture(t, small)
	control := &generation{f: f, number: 1, world: 1, threads: 1}
	control.run(t)
	other := false
	for _, world := range []int{1, 2, 3} {
		g := &generation{number: 1, world: world, threads: 1, f: f.with(t, func(train *pb.Train) {
			train.Numerics, train.Sharding = pb.Numerics_FAST, matrixShardings[world-1]
		})}
		g.run(t)
		for i, a := range control.records {
			b := g.records[i]
			if d := relative(a.GetLoss(), b.GetLoss()); d > 1e-3 {
				t.Errorf("world %d, step %d: loss %v, reproducible %v", world, i+1, b.GetLoss(),
					a.GetLoss())
			}
			if a.GetNumerics() != "" || b.GetNumerics() != "fast" {
				t.Errorf("numerics %q and %q", a.GetNumerics(), b.GetNumerics())
			}
			other = other || a.GetGradNorm() != b.GetGradNorm()
		}
	}
	if !other {
		t.Error("fast gives the same bits as reproducible: it is not another order")
	}
}

// TestFirstStepAgainstTheModel computes the first step's loss and norm from the model alone, with
// no rank, shard or tree about it.
func TestFirstStepAgainstTheModel(t *testing.T) {
	f := newFixture(t, small)
	g := &generation{f: f, number: 1, world: 3, threads: 1}
	g.run(t)
	loss, norm := f.firstStep(t)
	if d := relative(loss, g.records[0].GetLoss()); d > 1e-6 {
		t.Errorf("loss %v, the model alone gives %v", g.records[0].GetLoss(), loss)
	}
	if d := relative(norm, g.records[0].GetGradNorm()); d > 1e-5 {
		t.Errorf("norm %v, the model alone gives %v", g.records[0].GetGradNorm(), norm)
	}
}

func relative(a, b float64) float64 { return math.Abs(a-b) / math.Max(math.Abs(a), math.Abs(b)) }
