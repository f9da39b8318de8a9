package train

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// evaluated adds held-out sets to a fixture: 11 sequences of one, so that a micro-batch is not full
// and not every rank has one, and a short document that is padded.
func evaluated(t *testing.T, s shape, every uint64, guard *pb.Guard) *fixture {
	t.Helper()
	f := newFixture(t, s)
	examples, err := filepath.Abs("../../examples/corpora")
	must(t, err)
	sets := []*pb.EvalSet{
		{Name: "zh-held", Lang: "zh", Uri: examples + "/zh-facts.jsonl", TextField: "text",
			MaxSequences: 11},
		{Name: "en-held", Lang: "en", Uri: examples + "/en-stories.jsonl", TextField: "text",
			MaxSequences: 4}}
	f.resolved.Spec.Eval = &pb.Eval{Every: every, Sets: sets, Guard: guard}
	f.resolved.EvalSets, err = dataset.PinSets(t.Context(), f.opener, sets)
	must(t, err)
	return f
}

// evalLine is all of a record's evaluation, bit by bit.
func evalLine(r *pb.StepRecord) string {
	var b strings.Builder
	for _, list := range [][]*pb.EvalResult{r.GetEvalBase(), r.GetEval()} {
		for _, e := range list {
			fmt.Fprintf(&b, " %s/%s %x %x %x %d", e.GetSet(), e.GetLang(), math.Float64bits(e.GetLoss()),
				math.Float64bits(e.GetPerplexity()), math.Float64bits(e.GetBitsPerByte()), e.GetTargets())
			fmt.Fprintf(&b, " %x", math.Float64bits(e.GetBaseLoss()))
		}
		b.WriteString(" |")
	}
	return b.String() + r.GetGuard()
}

// TestI3_EvaluationInEveryWorld: held-out losses are the same bits for any world, sharding, thread
// count and restart, and at the steps they are due at only.
func TestI3_EvaluationInEveryWorld(t *testing.T) {
	for _, precision := range []pb.Precision{pb.Precision_FP32, pb.Precision_BF16} {
		t.Run(precision.String(), func(t *testing.T) { evaluationInEveryWorld(t, precision) })
	}
}

func evaluationInEveryWorld(t *testing.T, precision pb.Precision) {
	s := small
	s.microBatch, s.globalBatch, s.logicalShards, s.steps = 2, 12, 6, 5
	guard := func() *pb.Guard {
		return &pb.Guard{Set: "en-held", MaxRegression: 1e-9, Action: pb.Guard_ALARM, Patience: 2}
	}
	fixture := func() *fixture {
		f := evaluated(t, s, 2, guard())
		f.resolved.Spec.Train.Precision = precision
		return f
	}
	control := &generation{f: fixture(), number: 1, world: 1, threads: 1}
	control.run(t)
	for i, r := range control.records {
		step := uint64(i + 1)
		if due := step%2 == 0 || step == s.steps; due != (len(r.GetEval()) == 2) {
			t.Errorf("step %d has %d evaluations", step, len(r.GetEval()))
		}
		if first := step == 1; first != (len(r.GetEvalBase()) == 2) {
			t.Errorf("step %d has %d baselines", step, len(r.GetEvalBase()))
		}
		for k, e := range r.GetEval() {
			if base := control.records[0].GetEvalBase()[k]; e.GetBaseLoss() != base.GetLoss() ||
				base.GetBaseLoss() != 0 {
				t.Errorf("step %d compares %s with %v, want %v", step, e.GetSet(), e.GetBaseLoss(), base)
			}
		}
	}
	digest := control.digest(t)
	for world, sharding := range map[int]pb.Sharding{2: pb.Sharding_ZERO3, 3: pb.Sharding_ZERO1,
		6: pb.Sharding_ZERO2} {
		s.sharding = sharding
		f := fixture()
		first := f.until(t, 1, world, nil, 3)
		second := &generation{f: f, number: 2, world: 7 - world, threads: 2, restore: first.committed}
		second.run(t)
		what := fmt.Sprintf("world %d, then %d, %v", world, 7-world, sharding)
		all := append(first.records, second.records...)
		sameCurve(t, what, control.records, all)
		for i, r := range all {
			if a, b := evalLine(control.records[i]), evalLine(r); a != b {
				t.Errorf("%s: step %d\nwant %s\n got %s", what, i+1, a, b)
			}
		}
		if got := second.digest(t); got != digest {
			t.Errorf("%s: digest %s, want %s", what, got, digest)
		}
	}
}

// TestEvaluationAgainstTheModel: the baseline of a set is the mean loss that the model alone gives
// for its documents, and changes nothing about the training.
func TestEvaluationAgainstTheModel(t *testing.T) {
	s := small
	s.steps, s.every = 2, 2
	plain := &generation{f: newFixture(t, s), number: 1, world: 1, threads: 1}
	plain.run(t)
	f := evaluated(t, s, 1, nil)
	g := &generation{f: f, number: 1, world: 2, threads: 1}
	g.run(t)
	sameCurve(t, "with evaluation", plain.records, g.records)
	tok, err := tokenize.LoadPinned(t.Context(), f.opener, f.resolved.GetTokenizer())
	must(t, err)
	for i, e := range g.records[0].GetEvalBase() {
		set := f.resolved.GetSpec().GetEval().GetSets()[i]
		sequences, err := dataset.OpenSet(dataset.SetConfig{Manifest: f.resolved.GetEvalSets()[i],
			SeqLen: seqLen, DocMask: true, Tokenizer: tok, Stores: f.opener})
		must(t, err)
		var batch []dataset.Sequence
		bytes := int64(0)
		for range set.GetMaxSequences() {
			q, err := sequences.Next(t.Context())
			must(t, err)
			batch, bytes = append(batch, q), bytes+q.TargetBytes
		}
		loss, _ := f.lossOf(t, batch)
		if d := relative(loss, e.GetLoss()); d > 1e-6 {
			t.Errorf("%s: loss %v, the model alone gives %v", e.GetSet(), e.GetLoss(), loss)
		}
		if d := relative(math.Exp(loss), e.GetPerplexity()); d > 1e-5 {
			t.Errorf("%s: perplexity %v of loss %v", e.GetSet(), e.GetPerplexity(), loss)
		}
		bits := loss * float64(e.GetTargets()) / math.Ln2 / float64(bytes)
		if d := relative(bits, e.GetBitsPerByte()); d > 1e-6 {
			t.Errorf("%s: %v bits per byte, want %v", e.GetSet(), e.GetBitsPerByte(), bits)
		}
	}
	if a, b := plain.digest(t), g.digest(t); a != b {
		t.Errorf("evaluation changed the weights: digest %s, without %s", b, a)
	}
}

// TestGuardStops drives the held-out loss up: the run ends with a checkpoint of the step, says why,
// and neither a new generation nor a rewind makes a step more, until a user resumes it there.
func TestGuardStops(t *testing.T) {
	s := small
	s.lr, s.steps, s.every = 3, 12, 4
	f := evaluated(t, s, 1, &pb.Guard{Set: "zh-held", MaxRegression: 0.1, Action: pb.Guard_STOP,
		Patience: 2})
	f.resolved.Spec.Train.Optimizer.Clip = 0
	g := &generation{f: f, number: 1, world: 2, threads: 1}
	g.run(t)
	n := uint64(len(g.records))
	last := g.records[n-1]
	if n < 2 || n == s.steps || g.committed.GetStep() != n || len(g.stopped) != 2 ||
		last.GetGuard() != g.stopped[0] || !strings.Contains(last.GetGuard(), "zh-held") {
		t.Fatalf("ended at step %d with checkpoint %v, %q and the guard's %q", n, g.committed,
			g.stopped, last.GetGuard())
	}
	for _, r := range g.records[:n-1] {
		if r.GetGuard() != "" {
			t.Errorf("step %d: %s", r.GetStep(), r.GetGuard())
		}
	}
	again := &generation{f: f, number: 2, world: 1, threads: 1, restore: g.committed,
		committed: g.committed}
	again.run(t)
	if len(again.records) > 0 || len(again.stopped) != 1 || again.stopped[0] != last.GetGuard() {
		t.Errorf("a new generation made %d steps and said %q", len(again.records), again.stopped)
	}
	resumed := &generation{f: f, number: 3, world: 3, threads: 1, restore: g.committed,
		resumed: n, stopAt: n + 1}
	resumed.run(t)
	if len(resumed.records) != 2 || len(resumed.stopped) > 0 {
		t.Errorf("after a resume: %d steps, %q", len(resumed.records), resumed.stopped)
	}
}
