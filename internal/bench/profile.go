package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/banyan-train/banyan/worker/kernel"
)

// opKind is what a profile adds up: ops of one code, flags and shape.
type opKind struct {
	code kernel.Code
	flag int32
	n    [8]int64
}

// timedBackend runs ops one by one while it is on, and adds up the time of each kind.
type timedBackend struct {
	kernel.Backend
	on    bool
	spent map[opKind]time.Duration
	used  map[opKind]time.Duration // processor time, all threads
	count map[opKind]int
}

func (b *timedBackend) Run(ops []kernel.Op) error {
	if !b.on {
		return b.Backend.Run(ops)
	}
	for i := range ops {
		kind := opKind{ops[i].Code, ops[i].Flag, ops[i].N}
		began, used := time.Now(), cpuTime()
		if err := b.Backend.Run(ops[i : i+1]); err != nil {
			return err
		}
		b.spent[kind] += time.Since(began)
		b.used[kind] += cpuTime() - used
		b.count[kind]++
	}
	return nil
}

// profile answers, for a step's mean, where its time goes: kinds of ops by their processor time,
// which a busy host spoils less than the time on the wall. Rates are per second of that time, so
// of one core.
func (t *trainer) profile(repeat int) (answer, error) {
	if t == nil {
		return nil, errNoModel
	}
	b := t.timed
	b.on, b.count = true, map[opKind]int{}
	b.spent, b.used = map[opKind]time.Duration{}, map[opKind]time.Duration{}
	defer func() { b.on = false }()
	began, used := time.Now(), cpuTime()
	for range repeat {
		if _, err := t.oneStep(); err != nil {
			return nil, err
		}
	}
	wall, total := time.Since(began).Seconds(), (cpuTime() - used).Seconds()
	kinds := slices.Collect(maps.Keys(b.used))
	slices.SortFunc(kinds, func(a, c opKind) int { return cmp.Compare(b.used[c], b.used[a]) })
	var ops []answer
	for _, k := range kinds {
		name, flops, bytes := k.work()
		seconds := max(b.used[k].Seconds(), 1e-9) // a tiny op may end within a tick
		count := float64(b.count[k])
		ops = append(ops, answer{"op": name, "count": count / float64(repeat),
			"cpu_ms": 1e3 * seconds / float64(repeat),
			"ms":     1e3 * b.spent[k].Seconds() / float64(repeat),
			"gflops": flops * count / seconds / 1e9, "gbs": bytes * count / seconds / 1e9,
			"share": seconds / total})
	}
	return answer{"ops": ops, "ms": 1e3 * wall / float64(repeat),
		"cpu_ms": 1e3 * total / float64(repeat)}, nil
}

var opNames = map[kernel.Code]string{kernel.OpFill: "fill", kernel.OpCopy: "copy",
	kernel.OpAdd: "add", kernel.OpScale: "scale", kernel.OpMatmul: "matmul",
	kernel.OpEmbed: "embed", kernel.OpEmbedGrad: "embed grad", kernel.OpRMSNorm: "rms norm",
	kernel.OpRMSNormGrad: "rms norm grad", kernel.OpRope: "rope",
	kernel.OpAttention: "attention", kernel.OpAttentionGrad: "attention grad",
	kernel.OpSwiGLU: "swiglu", kernel.OpSwiGLUGrad: "swiglu grad",
	kernel.OpCrossEntropy: "cross entropy", kernel.OpSumSquares: "sum squares",
	kernel.OpAdamW: "adamw", kernel.OpSumRows: "sum rows"}

// operands is how many elements each op of a plain kind reads and writes, per element of n[0], or
// of n[0]*n[1] for those of rows.
var operands = map[kernel.Code]float64{kernel.OpFill: 1, kernel.OpCopy: 2, kernel.OpAdd: 3,
	kernel.OpScale: 2, kernel.OpSwiGLU: 3, kernel.OpSwiGLUGrad: 5, kernel.OpSumSquares: 1,
	kernel.OpAdamW: 7, kernel.OpRMSNorm: 2, kernel.OpRMSNormGrad: 4, kernel.OpEmbed: 2,
	kernel.OpEmbedGrad: 3, kernel.OpCrossEntropy: 2, kernel.OpSumRows: 1}

// work is an op's name with its shape, its floating-point operations (products alone, the causal
// half of attention), and the bytes of its operands were they all float32.
func (k opKind) work() (name string, flops, bytes float64) {
	name = opNames[k.code]
	n := k.n
	switch k.code {
	case kernel.OpMatmul:
		layout := []byte("nn")
		for i := range layout {
			if k.flag>>i&1 != 0 {
				layout[i] = 't'
			}
		}
		return fmt.Sprintf("%s %s %dx%dx%d flag %x", name, layout, n[0], n[1], n[2], k.flag),
			2 * float64(n[0]) * float64(n[1]) * float64(n[2]),
			4 * float64(n[0]*n[1]+n[0]*n[2]+n[1]*n[2])
	case kernel.OpAttention, kernel.OpAttentionGrad:
		flops = 2 * float64(n[0]*n[1]*(n[1]+1)*n[2]*n[4])
		if k.code == kernel.OpAttentionGrad {
			flops *= 2.5
		}
		return fmt.Sprintf("%s B%d T%d H%d K%d D%d", name, n[0], n[1], n[2], n[3], n[4]), flops, 0
	case kernel.OpRope:
		return fmt.Sprintf("%s %dx%dx%d", name, n[0], n[1], n[2]), 0,
			8 * float64(n[0]*n[1]*n[2])
	case kernel.OpFill, kernel.OpCopy, kernel.OpAdd, kernel.OpScale, kernel.OpSwiGLU,
		kernel.OpSwiGLUGrad, kernel.OpAdamW, kernel.OpSumSquares:
		return fmt.Sprintf("%s %d", name, n[0]), 0, 4 * operands[k.code] * float64(n[0])
	}
	return fmt.Sprintf("%s %dx%d", name, n[0], n[1]), 0,
		4 * operands[k.code] * float64(n[0]*n[1])
}
