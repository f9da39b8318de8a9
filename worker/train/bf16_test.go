package train

import (
	"math"
	"testing"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI3_BF16KeepsMasters trains in bf16: it follows the fp32 curve, its checkpoint holds masters
// that bf16 cannot hold, and a run that resumes from them in another world goes on with the same
// bits.
func TestI3_BF16KeepsMasters(t *testing.T) {
	s := small
	s.steps, s.every = 4, 4
	exact := &generation{f: newFixture(t, s), number: 1, world: 1, threads: 1}
	exact.run(t)
	half := func(train *pb.Train) { train.Precision = pb.Precision_BF16 }
	f := exact.f.with(t, half)
	control := &generation{f: f, number: 1, world: 1, threads: 1}
	control.run(t)
	for i, a := range exact.records {
		b := control.records[i]
		if d := relative(a.GetLoss(), b.GetLoss()); d > 1e-2 || d == 0 {
			t.Errorf("step %d: loss %v in fp32, %v in bf16", i+1, a.GetLoss(), b.GetLoss())
		}
	}
	if finer := finerThanBF16(t, control); finer < 0.9 {
		t.Errorf("only %.2f of the checkpoint's parameters need more than bf16", finer)
	}
	g := f.with(t, half)
	first := &generation{f: g, number: 1, world: 3, threads: 1, stopAt: 2}
	first.run(t)
	second := &generation{f: g, number: 2, world: 2, threads: 2, restore: first.committed}
	second.run(t)
	if len(first.records) == 0 || len(second.records) == 0 {
		t.Fatalf("%d and %d steps: the run was not cut", len(first.records), len(second.records))
	}
	sameCurve(t, "resumed", control.records, append(first.records, second.records...))
	if a, b := control.digest(t), second.digest(t); a != b {
		t.Errorf("digest %s, want %s", b, a)
	}
}

// finerThanBF16 is the part of a checkpoint's matrix parameters whose lower 16 bits are not zero.
func finerThanBF16(t *testing.T, g *generation) float64 {
	t.Helper()
	r, err := checkpoint.Open(t.Context(), g.f.opener, g.committed.GetUri(), g.committed.GetDigest())
	must(t, err)
	finer, all := 0.0, 0.0
	for i, u := range r.Manifest().Units {
		x := make([]float32, u.Size)
		must(t, r.Read(t.Context(), i, manifest.KindParam, 0, int(u.Size), x))
		for _, v := range x {
			if v != 0 {
				all++
				if math.Float32bits(v)&0xffff != 0 {
					finer++
				}
			}
		}
	}
	return finer / all
}
