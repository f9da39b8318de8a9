package model_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// A frozen matrix has no gradient, and all others keep their bits, in every family; and all have
// them again once nothing is frozen.
func TestI3_FrozenMatricesAreLeftOut(t *testing.T) {
	for name, cfg := range variants() {
		for _, frozen := range []string{"layers", "embed_tokens", "lm_head", "layers.1", "_proj", ""} {
			s := model.Shape{Batch: 2, SeqLen: 20}
			r := newRig(t, newRef(t), cfg, s)
			initRig(r, false)
			fillInputs(r.Inputs(), s, int(cfg.VocabSize))
			want := map[string][]float32{}
			r.forward(t)
			r.backward(t)
			r.each(r.grads, func(p string, x []float32) { want[p] = slices.Clone(x) })

			r.Freeze(func(p string) bool { return strings.Contains(p, frozen) })
			if frozen == "" {
				r.Freeze(nil)
			}
			r.forward(t)
			r.backward(t)
			r.each(r.grads, func(p string, x []float32) {
				matrix := strings.HasSuffix(p, "_proj.weight") || strings.Contains(p, "embed") ||
					strings.Contains(p, "lm_head")
				switch zero := !slices.ContainsFunc(x, func(v float32) bool { return v != 0 }); {
				case frozen != "" && matrix && strings.Contains(p, frozen):
					if !zero {
						t.Errorf("%s, %q frozen: %s has a gradient", name, frozen, p)
					}
				case !slices.Equal(x, want[p]):
					t.Errorf("%s, %q frozen: the gradient of %s is another one", name, frozen, p)
				}
			})
		}
	}
}

// What is frozen is not computed: fewer products run.
func TestFrozenMatricesCostNothing(t *testing.T) {
	cfg, s := tiny(false), model.Shape{Batch: 1, SeqLen: 8}
	count := func(frozen func(string) bool) int {
		be := &productCounter{Backend: newRef(t)}
		r := newRig(t, be, cfg, s)
		initRig(r, false)
		fillInputs(r.Inputs(), s, int(cfg.VocabSize))
		r.Freeze(frozen)
		r.forward(t)
		r.backward(t)
		return be.products
	}
	all, some := count(nil), count(func(p string) bool { return strings.Contains(p, "layers") })
	if want := all - 7*int(cfg.Layers); some != want {
		t.Errorf("%d products with frozen blocks, want %d of %d", some, want, all)
	}
}

// productCounter counts the products that run.
type productCounter struct {
	kernel.Backend
	products int
}

func (c *productCounter) Run(ops []kernel.Op) error {
	for _, op := range ops {
		if op.Code == kernel.OpMatmul {
			c.products++
		}
	}
	return c.Backend.Run(ops)
}
