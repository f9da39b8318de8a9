package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// initRig gives every parameter a random value, norms and biases included.
func initRig(r *rig, tied bool) {
	cfg := tiny(tied)
	r.each(r.params, func(name string, x []float32) {
		model.InitParam(cfg, model.Param{Name: name, Shape: []int{1, len(x)}}, 7, x)
		if strings.Contains(name, "norm") {
			for i := range x {
				x[i]++
			}
		}
	})
}

// Every gradient against central differences of a float64 twin of the model.
func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	for name, cfg := range variants() {
		t.Run(name, func(t *testing.T) {
			s := model.Shape{Batch: 2, SeqLen: 9}
			r := newRig(t, newRef(t), cfg, s)
			initRig(r, false)
			fillInputs(r.Inputs(), s, int(cfg.VocabSize))
			r.forward(t)
			r.backward(t)

			tw := &twin{cfg: cfg, shape: s, in: r.Inputs(), w: make(map[string][]float64)}
			r.each(r.params, func(name string, x []float32) {
				for _, v := range x {
					tw.w[name] = append(tw.w[name], float64(v))
				}
			})
			var sum float64
			for _, l := range r.Losses() {
				sum += float64(l)
			}
			if want := tw.loss(); math.Abs(sum-want) > 1e-6*want {
				t.Errorf("sum of losses %v, twin %v", sum, want)
			}
			const h, tolerance = 1e-5, 1e-5
			var most float64
			r.each(r.grads, func(name string, got []float32) {
				// About 40 elements of each tensor, spread over rows and columns by an odd stride.
				w, stride := tw.w[name], len(got)/40|1
				var picked []float32
				var want []float64
				for i := 0; i < len(w); i += stride {
					x := w[i]
					w[i] = x + h
					up := tw.loss()
					w[i] = x - h
					want = append(want, (up-tw.loss())/(2*h))
					picked = append(picked, got[i])
					w[i] = x
				}
				e := worst(picked, want)
				most = max(most, e)
				if e > tolerance {
					t.Errorf("gradient of %s: relative error %.1e, want at most %.0e", name, e, tolerance)
				}
			})
			t.Logf("largest relative error of a gradient: %.1e", most)
		})
	}
}

// A second micro-batch, with other buffers before it, gives the same bits: nothing is left over.
func TestI3_RepeatedPassGivesTheSameBits(t *testing.T) {
	for i := range 4 {
		tied, opt := i%2 == 1, model.Options{}
		if i > 1 {
			opt.Precision = kernel.BF16
		}
		cfg, s := tiny(tied), model.Shape{Batch: 3, SeqLen: 100}
		r := newRigWith(t, newRef(t), cfg, s, opt)
		initRig(r, tied)
		fillInputs(r.Inputs(), s, int(cfg.VocabSize))
		r.forward(t)
		r.backward(t)
		losses := slices.Clone(r.Losses())
		var first [][]float32
		for _, g := range r.grads {
			first = append(first, slices.Clone(r.be.Host(g)))
		}

		r.grads = r.alloc(t)
		in := r.Inputs()
		slices.Reverse(in.Tokens) // another micro-batch in between
		r.forward(t)
		if err := r.Loss(r.pick(r.params, len(r.units)-1)); err != nil {
			t.Fatal(err)
		}
		if slices.Equal(losses, r.Losses()) {
			t.Error("other tokens gave the same losses")
		}
		slices.Reverse(in.Tokens)
		r.forward(t)
		if err := r.Loss(r.pick(r.params, len(r.units)-1)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(losses, r.Losses()) {
			t.Error("Loss differs from the losses of Backward")
		}
		r.backward(t)
		for u := range first {
			if !slices.Equal(first[u], r.be.Host(r.grads[u])) {
				t.Errorf("tied=%v: gradient of %s differs", tied, r.units[u].Name)
			}
		}
	}
}

func TestPaddingOfGradientsIsZero(t *testing.T) {
	for _, tied := range []bool{false, true} {
		cfg, s := tiny(tied), model.Shape{Batch: 1, SeqLen: 4}
		r := newRig(t, newRef(t), cfg, s)
		fillInputs(r.Inputs(), s, int(cfg.VocabSize))
		r.forward(t)
		r.backward(t)
		for i, u := range r.units {
			last := u.Params[len(u.Params)-1]
			pad := r.be.Host(r.grads[i])[last.Offset+last.Len():]
			if j := slices.IndexFunc(pad, func(x float32) bool { return x != 0 }); j >= 0 {
				t.Errorf("tied=%v: %s: padding element %d is %v", tied, u.Name, j, pad[j])
			}
		}
	}
}
