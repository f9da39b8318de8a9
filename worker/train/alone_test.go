package train

import (
	"math"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
)

// firstStep is the mean loss and the norm of its gradient over the first global batch.
func (f *fixture) firstStep(t *testing.T) (loss, norm float64) {
	t.Helper()
	return f.lossOf(t, f.firstBatch(t).Sequences)
}

// lossOf is the mean loss of the base model over sequences, and the norm of its gradient.
func (f *fixture) lossOf(t *testing.T, sequences []dataset.Sequence) (loss, norm float64) {
	t.Helper()
	ctx := t.Context()
	cfg := f.resolved.GetModel()
	backend, err := cpu.New(cpu.Options{Threads: 2})
	must(t, err)
	defer backend.Close()
	m, err := model.New(cfg, model.Shape{Batch: len(sequences), SeqLen: seqLen}, backend,
		model.Options{})
	must(t, err)
	defer m.Close()
	folder, err := hf.Load(ctx, f.opener, f.resolved.GetSpec().GetBase().GetModel())
	must(t, err)
	var params, grads []kernel.Tensor
	for _, u := range m.Units() {
		p, err := backend.Alloc(u.Size, kernel.F32)
		must(t, err)
		for _, x := range u.Params {
			must(t, folder.Read(ctx, x.Name, 0, x.Len(), backend.Host(p)[x.Offset:x.Offset+x.Len()]))
		}
		d, err := backend.Alloc(u.Size, kernel.F32)
		must(t, err)
		params, grads = append(params, p), append(grads, d)
	}
	in := m.Inputs()
	for i, s := range sequences {
		copy(in.Tokens[i*seqLen:], s.Tokens[:seqLen])
		copy(in.Pos[i*seqLen:], s.Pos)
		copy(in.First[i*seqLen:], s.First)
		copy(in.Targets[i*seqLen:], s.Targets)
	}
	pick := func(unit int, from []kernel.Tensor) (out []kernel.Tensor) {
		for _, u := range m.Needs(unit) {
			out = append(out, from[u])
		}
		return out
	}
	last := len(params) - 1
	for u := range last {
		must(t, m.Forward(u, pick(u, params)))
	}
	for u := last; u >= 0; u-- {
		must(t, m.Backward(u, pick(u, params), pick(u, grads)))
	}
	targets := 0.0
	for i, x := range m.Losses() {
		if in.Targets[i] >= 0 {
			loss += float64(x)
			targets++
		}
	}
	for _, d := range grads {
		for _, x := range backend.Host(d) {
			norm += float64(x) * float64(x)
		}
	}
	return loss / targets, math.Sqrt(norm) / targets
}

func (f *fixture) firstBatch(t *testing.T) *dataset.Batch { return f.batches(t, 1)[0] }

// batches are the first n global batches of the run.
func (f *fixture) batches(t *testing.T, n int) (out []*dataset.Batch) {
	t.Helper()
	tok, err := tokenize.LoadPinned(t.Context(), f.opener, f.resolved.GetTokenizer())
	must(t, err)
	train := f.resolved.GetSpec().GetTrain()
	stream, err := dataset.Open(t.Context(), dataset.Config{Corpus: f.resolved.GetCorpus(),
		SeqLen: seqLen, GlobalBatch: int(train.GetGlobalBatch()), DocMask: true, MaxRecord: 1 << 20,
		Seed: train.GetSeed(), Tokenizer: tok, Stores: f.opener,
		Hi: dataset.Slot(train.GetGlobalBatch())}, nil)
	must(t, err)
	defer stream.Close()
	for range n {
		batch, err := stream.Next(t.Context())
		must(t, err)
		out = append(out, batch)
	}
	return out
}
