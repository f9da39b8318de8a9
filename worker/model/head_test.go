package model_test

import (
	"fmt"
	"testing"

	"github.com/banyan-train/banyan/worker/model"
)

// More rows than the head takes at a time: the losses are those of two smaller micro-batches, and
// the gradients their sums.
func TestChunksOfTheHeadAddUp(t *testing.T) {
	const seqLen, few, many = 100, 2, 11 // 200 rows are one chunk, as 900 are; 1100 are two
	for _, tied := range []bool{false, true} {
		t.Run(fmt.Sprintf("tied=%v", tied), func(t *testing.T) {
			rigOf := func(lo, hi int) *rig {
				cfg, s := tiny(tied), model.Shape{Batch: hi - lo, SeqLen: seqLen}
				whole := model.Shape{Batch: many, SeqLen: seqLen}
				in := model.Inputs{Tokens: make([]int32, many*seqLen), Pos: make([]int32, many*seqLen),
					First: make([]int32, many*seqLen), Targets: make([]int32, many*seqLen)}
				fillInputs(in, whole, int(cfg.VocabSize))
				r := newRig(t, newRef(t), cfg, s)
				initRig(r, tied)
				for _, x := range [][2][]int32{{r.Inputs().Tokens, in.Tokens}, {r.Inputs().Pos, in.Pos},
					{r.Inputs().First, in.First}, {r.Inputs().Targets, in.Targets}} {
					copy(x[0], x[1][lo*seqLen:hi*seqLen])
				}
				r.forward(t)
				r.backward(t)
				return r
			}
			a, b, all := rigOf(0, many-few), rigOf(many-few, many), rigOf(0, many)
			losses := append(append([]float32{}, a.Losses()...), b.Losses()...)
			if e := worst(all.Losses(), losses); e > 1e-6 {
				t.Errorf("losses: relative difference %.1e", e)
			}
			for u, g := range all.grads {
				sum := append([]float32{}, a.be.Host(a.grads[u])...)
				for i, x := range b.be.Host(b.grads[u]) {
					sum[i] += x
				}
				if e := worst(all.be.Host(g), sum); e > 1e-5 {
					t.Errorf("gradient of %s: relative difference %.1e", all.units[u].Name, e)
				}
			}
		})
	}
}
