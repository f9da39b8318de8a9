package model_test

import (
	"fmt"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// Windows below, at and above the tiles of the kernels, over documents of many lengths: as the
// plain backend computes them, position by position.
func TestWindowsOfAnySizeOnEveryBackend(t *testing.T) {
	s := model.Shape{Batch: 2, SeqLen: 150}
	pass := func(be kernel.Backend, window uint32, longest int) *rig {
		cfg := variants()["mistral"]
		cfg.SlidingWindow = window
		r := newRig(t, be, cfg, s)
		initRig(r, false)
		in := r.Inputs()
		fillInputs(in, s, int(cfg.VocabSize))
		for row := range in.First {
			at := row % s.SeqLen
			in.First[row] = int32(at - at%longest)
			in.Pos[row] = int32(at) - in.First[row]
		}
		r.forward(t)
		r.backward(t)
		return r
	}
	for _, longest := range []int{150, 90} {
		for _, window := range []uint32{1, 63, 65, 128, 150, 1 << 20} {
			want := pass(newRef(t), window, longest)
			for name, open := range backends() {
				got := pass(open(t), window, longest)
				what := fmt.Sprintf("%s: window %d, documents of %d", name, window, longest)
				if e := worst(got.Losses(), want.Losses()); e > 1e-5 {
					t.Errorf("%s: losses: relative difference %.1e", what, e)
				}
				for u, g := range got.grads {
					if e := worst(got.be.Host(g), want.be.Host(want.grads[u])); e > 1e-4 {
						t.Errorf("%s: gradient of %s: relative difference %.1e", what, got.units[u].Name, e)
					}
				}
			}
		}
	}
}

// A window as long as the sequence, or longer, is none; a shorter one is not.
func TestWindowsThatHoldTheSequenceAreNone(t *testing.T) {
	s := model.Shape{Batch: 2, SeqLen: 30}
	losses := func(window uint32) []float32 {
		cfg := variants()["mistral"]
		cfg.SlidingWindow = window
		r := newRig(t, newRef(t), cfg, s)
		initRig(r, false)
		fillInputs(r.Inputs(), s, int(cfg.VocabSize))
		for row := range r.Inputs().First { // one document a sequence
			r.Inputs().First[row] = 0
		}
		r.forward(t)
		if err := r.Loss(r.pick(r.params, len(r.units)-1)); err != nil {
			t.Fatal(err)
		}
		return append([]float32{}, r.Losses()...)
	}
	none := losses(0)
	for _, window := range []uint32{30, 31, 1<<31 - 1} {
		if worst(losses(window), none) != 0 {
			t.Errorf("window %d is not the whole sequence of 30", window)
		}
	}
	if worst(losses(29), none) == 0 {
		t.Error("window 29 of 30 hides nothing")
	}
}
