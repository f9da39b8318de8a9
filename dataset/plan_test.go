package dataset

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Under both packings, a schedule, an edit that comes in mid-run, epochs that turn, worlds that
// change and kills at any step, the sequences are those of one stream that knew the edit from its
// start; and each source is within S sequences of the plan's integral at every step.
func TestI2I10EditedStreamsAreTheSameForEveryWorldAndFailureSchedule(t *testing.T) {
	const slots, steps = 5, 24
	rapid.Check(t, func(rt *rapid.T) {
		base := testConfig(t, slots, 128, text("a", repeat(40, 0, 90)...),
			text("b", repeat(25, 10, 300)...), text("c", 2000, 3, 500))
		base.BOS = rapid.Bool().Draw(rt, "bos")
		base.Packing = rapid.SampledFrom([]pb.Packing{pb.Packing_CONCAT,
			pb.Packing_BEST_FIT}).Draw(rt, "packing")
		data := &pb.Data{SeqLen: uint32(base.SeqLen), Sources: []*pb.Source{
			{Name: "s0", Weight: 1}, {Name: "s1", Weight: 2}, {Name: "s2", Weight: 3}}}
		data.Schedule = []*pb.MixPhase{
			{UntilStep: rapid.Uint64Range(1, 12).Draw(rt, "until"), Weights: drawWeights(rt), Ramp: true}}
		edit := rapid.Uint64Range(2, steps).Draw(rt, "edit")
		edited := base
		edited.Corpus = &pb.Corpus{Sources: base.Corpus.Sources}
		mustWeigh(t, base.Corpus, data)
		data.Edits = []*pb.WeightEdit{{FromStep: edit, Weights: drawWeights(rt)}}
		mustWeigh(t, edited.Corpus, data)

		undisturbed := mustOpen(t, edited, nil)
		defer undisturbed.Close()
		var want []*Batch
		taken := make([]int64, 3)
		planned, weights := make([]int64, 3), make([]int64, 3)
		for step := range uint64(steps) {
			b := mustNext(t, undisturbed)
			want = append(want, b)
			for _, s := range b.Sequences {
				taken[s.Source]++
			}
			PlanOf(edited.Corpus).Weights(step+1, weights)
			for i, w := range weights {
				planned[i] += slots * w
				if off := float64(planned[i])/mix.One - float64(taken[i]); off <= -1 || off >= 2 {
					rt.Fatalf("step %d: source %d is %g sequences off its plan", step+1, i, off)
				}
			}
		}
		var at *Cursor
		for step := 0; step < steps; {
			life := min(rapid.IntRange(1, 12).Draw(rt, "life"), steps-step)
			cfg := edited
			if step+life < int(edit) && rapid.Bool().Draw(rt, "untold") {
				cfg = base // a generation that ends before the edit need not know it
			}
			cuts := split(rt, slots)
			var cursors []*Cursor
			for k := range len(cuts) - 1 {
				cfg.Lo, cfg.Hi = cuts[k], cuts[k+1]
				cursors = append(cursors, runRank(t, cfg, at, want[step:step+life]))
			}
			merged, err := MergeCursors(cursors)
			if err != nil {
				rt.Fatal(err)
			}
			at, step = roundTrip(t, merged), step+life
		}
		if !reflect.DeepEqual(at, want[steps-1].Cursor) {
			rt.Fatal("the merged cursor differs from that of one stream")
		}
	})
}

func drawWeights(t *rapid.T) []*pb.NamedWeight {
	one := rapid.IntRange(0, 30) // with 0 a source is left out
	return weights(float64(one.Draw(t, "w0")), float64(one.Draw(t, "w1")),
		0.5+float64(one.Draw(t, "w2")))
}

func mustWeigh(t *testing.T, corpus *pb.Corpus, data *pb.Data) {
	t.Helper()
	if err := Weigh(corpus, data, 5); err != nil {
		t.Fatal(err)
	}
}
