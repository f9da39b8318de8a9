package model_test

import (
	"math"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/ref"
	"github.com/banyan-train/banyan/worker/model"
)

// rig is a model with its parameters and gradients in a backend's memory.
type rig struct {
	*model.Model
	be            kernel.Backend
	units         []model.Unit
	params, grads []kernel.Tensor // by unit, F32
	halves        []kernel.Tensor // params as the model reads them, if the precision is BF16
}

func newRig(t *testing.T, be kernel.Backend, cfg *pb.ModelConfig, s model.Shape) *rig {
	t.Helper()
	return newRigWith(t, be, cfg, s, model.Options{})
}

func newRigWith(t *testing.T, be kernel.Backend, cfg *pb.ModelConfig, s model.Shape,
	opt model.Options) *rig {
	t.Helper()
	m, err := model.New(cfg, s, be, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	r := &rig{Model: m, be: be, units: model.Units(cfg)}
	r.params, r.grads = r.alloc(t), r.alloc(t)
	if opt.Precision == kernel.BF16 {
		for _, u := range r.units {
			half, err := be.Alloc(u.Size, kernel.BF16)
			if err != nil {
				t.Fatal(err)
			}
			r.halves = append(r.halves, half)
		}
	}
	for _, g := range r.grads { // what Backward must overwrite
		fill(be.Host(g), float32(math.NaN()))
	}
	return r
}

func (r *rig) alloc(t *testing.T) []kernel.Tensor {
	t.Helper()
	out := make([]kernel.Tensor, len(r.units))
	for i, u := range r.units {
		var err error
		if out[i], err = r.be.Alloc(u.Size, kernel.F32); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// pick is the tensors that a unit needs; parameters in the model's precision.
func (r *rig) pick(ts []kernel.Tensor, unit int) []kernel.Tensor {
	var out []kernel.Tensor
	if r.halves != nil && &ts[0] == &r.params[0] {
		ts = r.halves
	}
	for _, u := range r.Needs(unit) {
		out = append(out, ts[u])
	}
	return out
}

func (r *rig) forward(t *testing.T) {
	t.Helper()
	for u, half := range r.halves {
		if err := r.be.Run([]kernel.Op{kernel.Copy(half, r.params[u])}); err != nil {
			t.Fatal(err)
		}
	}
	for u := range len(r.units) - 1 {
		if err := r.Forward(u, r.pick(r.params, u)); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) backward(t *testing.T) {
	t.Helper()
	for u := len(r.units) - 1; u >= 0; u-- {
		if err := r.Backward(u, r.pick(r.params, u), r.pick(r.grads, u)); err != nil {
			t.Fatal(err)
		}
	}
}

// each calls f with the host view of every parameter in the units' tensors.
func (r *rig) each(ts []kernel.Tensor, f func(name string, x []float32)) {
	for i, u := range r.units {
		host := r.be.Host(ts[i])
		for _, p := range u.Params {
			f(p.Name, host[p.Offset:p.Offset+p.Len()])
		}
	}
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

func newRef(t *testing.T) kernel.Backend {
	t.Helper()
	be := ref.New()
	t.Cleanup(be.Close)
	return be
}

// tiny is a small configuration in which no two dimensions are equal by accident.
func tiny(tied bool) *pb.ModelConfig {
	return &pb.ModelConfig{Family: "llama", VocabSize: 11, HiddenSize: 12, IntermediateSize: 10,
		Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 6, RopeTheta: 10000, RmsNormEps: 1e-5,
		TiedEmbeddings: tied, MaxPositions: 512, InitializerRange: 0.3, BosId: -1, EosId: -1}
}

// variants are small configurations of every family and of every part of the mathematics.
func variants() map[string]*pb.ModelConfig {
	with := func(change func(*pb.ModelConfig)) *pb.ModelConfig {
		cfg := tiny(false)
		change(cfg)
		return cfg
	}
	return map[string]*pb.ModelConfig{
		"llama": tiny(false),
		"tied":  tiny(true),
		"linear": with(func(c *pb.ModelConfig) {
			c.RopeScaling = &pb.RopeScaling{Kind: "linear", Factor: 2.5}
		}),
		"llama3": with(func(c *pb.ModelConfig) { // of three pairs, each takes another way
			c.RopeTheta = 100
			c.RopeScaling = &pb.RopeScaling{Kind: "llama3", Factor: 8, LowFreqFactor: 1,
				HighFreqFactor: 4, OriginalMaxPositions: 80}
		}),
		"mistral": with(func(c *pb.ModelConfig) { c.Family, c.SlidingWindow = "mistral", 3 }),
		"qwen2":   with(func(c *pb.ModelConfig) { c.Family, c.QkvBias = "qwen2", true }),
		"qwen3": with(func(c *pb.ModelConfig) {
			c.Family, c.QkNorm, c.TiedEmbeddings = "qwen3", true, true
			c.HiddenSize, c.HeadDim = 14, 8 // 4 heads: neither a divisor nor a quotient
		}),
	}
}

// fillInputs makes a micro-batch of documents of uneven length, with masked targets.
func fillInputs(in model.Inputs, s model.Shape, vocab int) {
	start := 0
	for r := range in.Tokens {
		t := r % s.SeqLen
		if t == 0 || (r*7)%5 == 3 {
			start = t
		}
		in.Tokens[r] = int32((r*r + 3*r) % vocab)
		in.First[r], in.Pos[r] = int32(start), int32(t-start)
		in.Targets[r] = int32((r*5 + 1) % vocab)
		if r%6 == 4 {
			in.Targets[r] = -1
		}
	}
}

// worst is the largest difference, relative to the largest value of want.
func worst[T float32 | float64](got []float32, want []T) float64 {
	var diff, scale float64
	for i := range want {
		scale = max(scale, math.Abs(float64(want[i])))
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff = max(diff, d)
	}
	if scale == 0 {
		return diff
	}
	return diff / scale
}
