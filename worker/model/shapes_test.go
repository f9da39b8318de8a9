package model_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// randomCase is a model of any family with sizes that suit no kernel. A hidden size of 1 to 3 would
// suit nobody: its norms leave next to nothing of a gradient.
func randomCase(rng *rand.Rand) (*pb.ModelConfig, model.Shape) {
	family := []string{"llama", "mistral", "qwen2", "qwen3"}[rng.IntN(4)]
	kv := 1 + rng.IntN(3)
	cfg := &pb.ModelConfig{Family: family, VocabSize: uint32(2 + rng.IntN(70)),
		IntermediateSize: uint32(1 + rng.IntN(50)), Layers: uint32(1 + rng.IntN(2)),
		Heads: uint32(kv * (1 + rng.IntN(3))), KvHeads: uint32(kv), HeadDim: uint32(2 + 2*rng.IntN(12)),
		RopeTheta: 1000, RmsNormEps: 1e-5, TiedEmbeddings: rng.IntN(2) == 0, MaxPositions: 512,
		InitializerRange: 0.3, BosId: -1, EosId: -1, QkvBias: family == "qwen2",
		QkNorm: family == "qwen3"}
	cfg.HiddenSize = uint32(4 + rng.IntN(40))
	if family == "llama" {
		cfg.HiddenSize = cfg.Heads * uint32(4+rng.IntN(6))
	} else {
		cfg.SlidingWindow = uint32(rng.IntN(40))
	}
	return cfg, model.Shape{Batch: 1 + rng.IntN(3), SeqLen: 1 + rng.IntN(90)}
}

// Shapes that are multiples of nothing, in both precisions: every backend computes what the plain
// one computes.
func TestOddShapesOnEveryBackend(t *testing.T) {
	for seed := range uint64(8) {
		cfg, s := randomCase(rand.New(rand.NewPCG(seed, 1)))
		for dt, most := range map[kernel.DType]float64{kernel.F32: 1e-4, kernel.BF16: 5e-2} {
			pass := func(be kernel.Backend) *rig {
				r := newRigWith(t, be, cfg, s, model.Options{Precision: dt})
				for i, u := range r.units {
					for _, p := range u.Params {
						x := be.Host(r.params[i])[p.Offset : p.Offset+p.Len()]
						model.InitParam(cfg, model.Param{Name: p.Name, Shape: []int{1, len(x)}}, seed, x)
						if len(p.Shape) == 1 && !cfg.QkvBias {
							for j := range x {
								x[j]++
							}
						}
					}
				}
				fillInputs(r.Inputs(), s, int(cfg.VocabSize))
				r.forward(t)
				r.backward(t)
				return r
			}
			want := pass(newRef(t))
			for name, open := range backends() {
				got := pass(open(t))
				what := fmt.Sprintf("seed %d, %s, %d bytes, %v, %v", seed, name, dt.Size(), s, cfg)
				if e := worst(got.Losses(), want.Losses()); e > most/10 {
					t.Errorf("%s: losses: relative difference %.1e", what, e)
				}
				for u, g := range got.grads {
					if e := worst(got.be.Host(g), want.be.Host(want.grads[u])); e > most {
						t.Errorf("%s: gradient of %s: relative difference %.1e", what, got.units[u].Name, e)
					}
				}
			}
		}
	}
}
