package model_test

import (
	"slices"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// What is computed again has the same bits, and takes less memory.
func TestI3_RecomputationDoesNotMatter(t *testing.T) {
	for _, dt := range []kernel.DType{kernel.F32, kernel.BF16} {
		recomputation(t, dt)
	}
}

func recomputation(t *testing.T, dt kernel.DType) {
	for name, cfg := range variants() {
		s := model.Shape{Batch: 2, SeqLen: 20}
		var losses []float32
		var grads [][]float32
		var bytes int64
		for _, recompute := range []pb.Recompute{pb.Recompute_NONE, pb.Recompute_ATTENTION,
			pb.Recompute_FULL} {
			opt := model.Options{Precision: dt, Recompute: recompute}
			r := newRigWith(t, newRef(t), cfg, s, opt)
			initRig(r, false)
			fillInputs(r.Inputs(), s, int(cfg.VocabSize))
			r.forward(t)
			r.backward(t)
			most := bytes
			bytes = model.MemoryBytes(cfg, s, opt)
			if recompute == pb.Recompute_NONE {
				losses = slices.Clone(r.Losses())
				for _, g := range r.grads {
					grads = append(grads, slices.Clone(r.be.Host(g)))
				}
				continue
			}
			if bytes >= most {
				t.Errorf("%s: %s takes %d bytes, less recomputation %d", name, recompute, bytes, most)
			}
			if !slices.Equal(losses, r.Losses()) {
				t.Errorf("%s: losses differ with recompute %s", name, recompute)
			}
			for u, g := range r.grads {
				if !slices.Equal(grads[u], r.be.Host(g)) {
					t.Errorf("%s: gradient of %s differs with recompute %s", name, r.units[u].Name,
						recompute)
				}
			}
		}
	}
}
