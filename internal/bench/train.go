package main

import (
	"errors"
	"fmt"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
)

// modelSize is a LLaMA and the batch of one step.
type modelSize struct {
	Hidden  uint32 `json:"hidden"`
	Layers  uint32 `json:"layers"`
	Heads   uint32 `json:"heads"`
	KVHeads uint32 `json:"kv_heads"`
	FFN     uint32 `json:"ffn"`
	Vocab   uint32 `json:"vocab"`
	SeqLen  int    `json:"seq_len"`
	Batch   int    `json:"batch"`

	Precision string `json:"precision"` // fp32, or bf16 with masters, gradients and sums in fp32
}

func (s modelSize) config() (*pb.ModelConfig, error) {
	if s.Heads == 0 || s.Hidden%s.Heads != 0 {
		return nil, fmt.Errorf("hidden size %d over %d heads", s.Hidden, s.Heads)
	}
	return &pb.ModelConfig{Family: "llama", VocabSize: s.Vocab, HiddenSize: s.Hidden,
		IntermediateSize: s.FFN, Layers: s.Layers, Heads: s.Heads, KvHeads: s.KVHeads,
		HeadDim: s.Hidden / s.Heads, RopeTheta: 10000, RmsNormEps: 1e-5,
		MaxPositions: uint32(s.SeqLen), InitializerRange: 0.02, BosId: -1}, nil
}

// optimizer is the peer's too: scripts/bench_peers.py.
var optimizer = &pb.Optimizer{Lr: 1e-4, Betas: []float64{0.9, 0.95}, Eps: 1e-8, WeightDecay: 0.1,
	Clip: 1}

// trainer is a model with its optimizer on one rank, without sharding, gathering and reducing.
type trainer struct {
	be    kernel.Backend // of the caller's; timed wraps it
	timed *timedBackend
	model *model.Model
	units []model.Unit
	rows  int
	step  uint64

	params, grads, m, v []kernel.Tensor // by unit, fp32
	half                []kernel.Tensor // by unit, what the model computes with in bf16; or zero
	sums                []kernel.Tensor // by unit: sums of squares, one a chunk
}

func newTrainer(be kernel.Backend, size modelSize) (*trainer, error) {
	cfg, err := size.config()
	if err != nil {
		return nil, err
	}
	dtype, known := dtypes[size.Precision]
	if !known {
		return nil, fmt.Errorf("precision %q: want fp32 or bf16", size.Precision)
	}
	t := &trainer{be: be, timed: &timedBackend{Backend: be}, rows: size.Batch * size.SeqLen}
	t.model, err = model.New(cfg, model.Shape{Batch: size.Batch, SeqLen: size.SeqLen}, t.timed,
		model.Options{Precision: dtype})
	if err != nil {
		return nil, err
	}
	t.units = model.Units(cfg)
	t.half = make([]kernel.Tensor, len(t.units))
	if err := t.alloc(dtype); err != nil {
		t.close()
		return nil, err
	}
	for i, u := range t.units {
		flat := be.Host(t.params[i])
		for _, p := range u.Params {
			model.InitParam(cfg, p, 1, flat[p.Offset:p.Offset+p.Len()])
		}
		if dtype == kernel.F32 {
			continue
		}
		if err := be.Run([]kernel.Op{kernel.Copy(t.half[i], t.params[i])}); err != nil {
			t.close()
			return nil, err
		}
	}
	t.fillInputs(size)
	return t, nil
}

func (t *trainer) alloc(dtype kernel.DType) error {
	for _, ts := range []*[]kernel.Tensor{&t.params, &t.grads, &t.m, &t.v, &t.sums} {
		for _, u := range t.units {
			n := u.Size
			if ts == &t.sums {
				n /= model.Chunk
			}
			x, err := t.be.Alloc(n, kernel.F32)
			if err != nil {
				return err
			}
			*ts = append(*ts, x)
		}
	}
	for i, u := range t.units {
		if dtype == kernel.F32 {
			break
		}
		var err error
		if t.half[i], err = t.be.Alloc(u.Size, dtype); err != nil {
			return err
		}
	}
	return nil
}

// weights are what the model computes with.
func (t *trainer) weights() []kernel.Tensor {
	if t.half[0].IsZero() {
		return t.params
	}
	return t.half
}

// fillInputs draws tokens by a linear congruential generator that the peer has too; sequences are
// whole: no document mask. Each position's target is the next token.
func (t *trainer) fillInputs(size modelSize) {
	in, x := t.model.Inputs(), uint32(1)
	next := func() int32 {
		x = x*1664525 + 1013904223 // Numerical Recipes, ranqd1
		return int32(x >> 8 % size.Vocab)
	}
	for b := range size.Batch {
		token := next()
		for s := range size.SeqLen {
			r := b*size.SeqLen + s
			in.Tokens[r], in.Pos[r], in.First[r] = token, int32(s), 0
			token = next()
			in.Targets[r] = token
		}
	}
}

func (t *trainer) parameters() int {
	n := 0
	for _, u := range t.units {
		for _, p := range u.Params {
			n += p.Len()
		}
	}
	return n
}

func (t *trainer) close() {
	for _, ts := range [][]kernel.Tensor{t.params, t.grads, t.m, t.v, t.half, t.sums} {
		for _, x := range ts {
			t.be.Free(x)
		}
	}
	if t.model != nil {
		t.model.Close()
	}
}

var errNoModel = errors.New(`no model: send {"do":"model"} first`)

// steps runs whole steps and answers the mean time of one, and the loss before the last update.
func (t *trainer) steps(repeat int) (answer, error) {
	if t == nil {
		return nil, errNoModel
	}
	began, used, loss := time.Now(), cpuTime(), 0.0
	for range repeat {
		var err error
		if loss, err = t.oneStep(); err != nil {
			return nil, err
		}
	}
	took := time.Since(began).Seconds() / float64(repeat)
	return answer{"seconds": took, "loss": loss, "tokens_per_s": float64(t.rows) / took,
		"cpu_seconds": (cpuTime() - used).Seconds() / float64(repeat)}, nil
}

// pick is the tensors of the units that a unit needs.
func (t *trainer) pick(ts []kernel.Tensor, unit int) []kernel.Tensor {
	var out []kernel.Tensor
	for _, u := range t.model.Needs(unit) {
		out = append(out, ts[u])
	}
	return out
}

// oneStep is forward, backward, clip by the global norm, and AdamW. It answers the mean loss.
func (t *trainer) oneStep() (float64, error) {
	last := len(t.units) - 1
	for u := range last {
		if err := t.model.Forward(u, t.pick(t.weights(), u)); err != nil {
			return 0, err
		}
	}
	for u := last; u >= 0; u-- {
		if err := t.model.Backward(u, t.pick(t.weights(), u), t.pick(t.grads, u)); err != nil {
			return 0, err
		}
	}
	loss := 0.0
	for _, x := range t.model.Losses() {
		loss += float64(x)
	}
	if err := t.update(); err != nil {
		return 0, err
	}
	return loss / float64(t.rows), nil
}

func (t *trainer) update() error {
	t.step++
	var ops []kernel.Op
	for i := range t.units {
		ops = append(ops, kernel.SumSquares(t.sums[i], t.grads[i], model.Chunk))
	}
	if err := t.timed.Run(ops); err != nil {
		return fmt.Errorf("sum squares: %w", err)
	}
	var sums []float32
	for _, s := range t.sums {
		sums = append(sums, t.be.Host(s)...)
	}
	targets := float64(t.rows)
	scale := float32(optim.ClipFactor(optim.Norm(sums)/targets, optimizer.Clip) / targets)
	ops = ops[:0]
	for i, u := range t.units {
		for _, p := range u.Params {
			lo, hi := p.Offset, p.Offset+p.Len()
			half := t.half[i]
			if !half.IsZero() {
				half = half.Slice(lo, hi)
			}
			ops = append(ops, kernel.AdamW(t.params[i].Slice(lo, hi), t.m[i].Slice(lo, hi),
				t.v[i].Slice(lo, hi), t.grads[i].Slice(lo, hi), half,
				optim.Step(optimizer, optimizer.Lr, t.step, p.Decay, scale)))
		}
	}
	if err := t.timed.Run(ops); err != nil {
		return fmt.Errorf("update parameters: %w", err)
	}
	return nil
}
