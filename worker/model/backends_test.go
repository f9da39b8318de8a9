package model_test

import (
	"slices"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
)

// backends opens each backend and ISA class that this host has.
func backends() map[string]func(*testing.T) kernel.Backend {
	all := map[string]func(*testing.T) kernel.Backend{"ref": newRef}
	for _, class := range cpu.Classes() {
		all["cpu/"+class] = func(t *testing.T) kernel.Backend { return newCPU(t, class, 2) }
	}
	return all
}

func newCPU(t *testing.T, class string, threads int) kernel.Backend {
	t.Helper()
	be, err := cpu.New(cpu.Options{Threads: threads, ISA: class})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(be.Close)
	return be
}

// The whole model gives the same bits for any number of threads.
func TestI3_ThreadsDoNotMatter(t *testing.T) {
	threadsDoNotMatter(t, kernel.F32)
	threadsDoNotMatter(t, kernel.BF16)
}

func threadsDoNotMatter(t *testing.T, dt kernel.DType) {
	t.Helper()
	for _, class := range cpu.Classes() {
		var losses []float32
		var grads [][]float32
		for _, threads := range []int{1, 2, 3} {
			cfg, s := tiny(true), model.Shape{Batch: 3, SeqLen: 100}
			r := newRigWith(t, newCPU(t, class, threads), cfg, s, model.Options{Precision: dt})
			initRig(r, true)
			fillInputs(r.Inputs(), s, int(cfg.VocabSize))
			r.forward(t)
			r.backward(t)
			if threads == 1 {
				losses = slices.Clone(r.Losses())
			} else if !slices.Equal(losses, r.Losses()) {
				t.Errorf("%s: losses differ with %d threads", class, threads)
			}
			for u, g := range r.grads {
				if threads == 1 {
					grads = append(grads, slices.Clone(r.be.Host(g)))
				} else if !slices.Equal(grads[u], r.be.Host(g)) {
					t.Errorf("%s: gradient of %s differs with %d threads", class, r.units[u].Name, threads)
				}
			}
		}
	}
}
