package model_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

const (
	goldenBatch  = 2 // as in scripts/make_goldens.py
	goldenStride = 16
)

// golden is a case made by scripts/make_goldens.py with transformers.
type golden struct {
	data   []byte
	header *safetensors.Header
}

func openGolden(t *testing.T, dir string) *golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ParseHeader(data, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return &golden{bytes.Clone(data), h}
}

func (g *golden) floats(t *testing.T, name string) []float32 {
	t.Helper()
	x, ok := g.header.Lookup(name)
	if !ok {
		t.Fatalf("golden has no %q", name)
	}
	out := make([]float32, x.Elements())
	if err := safetensors.Decode(x.DType, out, g.data[x.Start:x.End]); err != nil {
		t.Fatal(err)
	}
	return out
}

func (g *golden) ints(t *testing.T, name string, dst []int32) {
	t.Helper()
	for i, x := range g.floats(t, name) {
		dst[i] = int32(x)
	}
}

// loadRig loads a folder's weights through package hf.
func loadRig(t *testing.T, be kernel.Backend, dir string, rows int, dt kernel.DType) *rig {
	t.Helper()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := hf.Load(context.Background(), op, dir)
	if err != nil {
		t.Fatal(err)
	}
	s := model.Shape{Batch: goldenBatch, SeqLen: rows / goldenBatch}
	r := newRigWith(t, be, f.Config(), s, model.Options{Precision: dt})
	r.each(r.params, func(name string, x []float32) {
		if err := f.Read(context.Background(), name, 0, len(x), x); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// Loss, logits and every gradient against transformers in float32.
func TestGoldensOfTransformers(t *testing.T) {
	for name, open := range backends() {
		for _, c := range []string{"gqa", "tied", "linear", "llama3", "mistral", "qwen2", "qwen3"} {
			t.Run(name+"/"+c, func(t *testing.T) {
				compareGolden(t, open(t), filepath.Join("testdata", c), kernel.F32)
				compareGolden(t, open(t), filepath.Join("testdata", c), kernel.BF16)
			})
		}
	}
}

// tolerance is the largest relative error (see worst) against transformers in float32. In bfloat16
// a value is off by up to 2^-9, 0.2 %, wherever it is stored; gradients pass many stores, those of
// the final norm and the head few.
type tolerance struct{ sum, loss, logits, head, block float64 }

var tolerances = map[kernel.DType]tolerance{
	kernel.F32:  {sum: 1e-5, loss: 1e-5, logits: 1e-4, head: 1e-4, block: 1e-4},
	kernel.BF16: {sum: 1e-3, loss: 2e-2, logits: 5e-2, head: 3e-2, block: 8e-2},
}

// gradient is the tolerance of a parameter's gradient.
func (x tolerance) gradient(name string) float64 {
	if name == "model.norm.weight" || name == "lm_head.weight" {
		return x.head
	}
	return x.block
}

// compareGolden holds a model against a folder of the goldens.
func compareGolden(t *testing.T, be kernel.Backend, dir string, dt kernel.DType) {
	t.Helper()
	most := tolerances[dt]
	g := openGolden(t, dir)
	want := g.floats(t, "losses")
	r := loadRig(t, be, dir, len(want), dt)
	in := r.Inputs()
	g.ints(t, "tokens", in.Tokens)
	g.ints(t, "pos", in.Pos)
	g.ints(t, "first", in.First)
	g.ints(t, "targets", in.Targets)
	r.forward(t)
	logits, err := r.Logits(r.pick(r.params, len(r.units)-1))
	if err != nil {
		t.Fatal(err)
	}
	v, picked := len(logits)/len(want), []float32(nil)
	for row := 0; row < len(want); row += goldenStride {
		picked = append(picked, logits[row*v:(row+1)*v]...)
	}
	r.backward(t)

	loss, logit := worst(r.Losses(), want), worst(picked, g.floats(t, "logits"))
	sum := math.Abs(total(r.Losses())/total(want) - 1)
	if sum > most.sum || loss > most.loss {
		t.Errorf("losses: relative error of the sum %.1e, of a row %.1e, want at most %.0e and %.0e",
			sum, loss, most.sum, most.loss)
	}
	if logit > most.logits {
		t.Errorf("logits: relative error %.1e, want at most %.0e", logit, most.logits)
	}
	var grad float64
	r.each(r.grads, func(name string, x []float32) {
		e := worst(x, g.floats(t, "grad."+name))
		grad = max(grad, e)
		if e > most.gradient(name) {
			t.Errorf("gradient of %s: relative error %.1e, want at most %.0e", name, e,
				most.gradient(name))
		}
	})
	t.Logf("%s, %d bytes a number: relative errors: sum of losses %.1e, loss %.1e, logits %.1e, "+
		"gradients %.1e", r.be.Name(), dt.Size(), sum, loss, logit, grad)
}

func total(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}
