package train

import (
	"fmt"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// shards is what a rank owns of every unit: fp32 parameters and both AdamW moments; where the
// summed gradient of the step lies; and, in bf16, the rounded parameters that the model computes
// with.
type shards struct {
	lo, hi      []int           // element range inside the unit
	param, m, v []kernel.Tensor // F32
	half        []kernel.Tensor // BF16 copy of param; zero in fp32
	grad        []kernel.Tensor // F32, set by the reducer from finish to the next begin
	full        []kernel.Tensor // whole units in the compute dtype, around param or half; or none
}

// newShards allocates the shards. With full they lie inside whole units, so that the others' parts
// can be gathered around them.
func newShards(l *layout, units []model.Unit, be kernel.Backend, compute kernel.DType, full bool,
) (*shards, error) {
	s := &shards{half: make([]kernel.Tensor, len(units)), grad: make([]kernel.Tensor, len(units))}
	for i, u := range units {
		r := l.shardOf(u, l.rank)
		s.lo, s.hi = append(s.lo, r.Lo), append(s.hi, r.Hi)
		a := allocator{be: be}
		var used kernel.Tensor
		if full {
			whole := a.take(u.Size, compute)
			s.full = append(s.full, whole)
			used = slice(whole, r.Lo, r.Hi)
		} else {
			used = a.take(r.Hi-r.Lo, compute)
		}
		if compute == kernel.BF16 {
			s.half[i] = used
			used = a.take(r.Hi-r.Lo, kernel.F32)
		}
		s.param = append(s.param, used)
		s.m = append(s.m, a.take(r.Hi-r.Lo, kernel.F32))
		s.v = append(s.v, a.take(r.Hi-r.Lo, kernel.F32))
		if a.err != nil {
			return nil, fmt.Errorf("allocate shard of %s: %w", u.Name, a.err)
		}
	}
	return s, nil
}

// slice is t.Slice, of nothing too.
func slice(t kernel.Tensor, lo, hi int) kernel.Tensor {
	if t.IsZero() {
		return t
	}
	return t.Slice(lo, hi)
}

// allocator keeps the first error of several allocations.
type allocator struct {
	be  kernel.Backend
	err error
}

func (a *allocator) take(n int, dt kernel.DType) kernel.Tensor {
	if a.err != nil {
		return kernel.Tensor{}
	}
	var t kernel.Tensor
	t, a.err = a.be.Alloc(n, dt)
	return t
}

// compute is the own shard as the model reads it.
func (s *shards) compute(unit int) kernel.Tensor {
	if !s.half[unit].IsZero() {
		return s.half[unit]
	}
	return s.param[unit]
}

// round sets the compute copy of every shard from the masters.
func (s *shards) round(be kernel.Backend) error {
	var ops []kernel.Op
	for i, half := range s.half {
		if half.Len > 0 {
			ops = append(ops, kernel.Copy(half, s.param[i]))
		}
	}
	if err := be.Run(ops); err != nil {
		return fmt.Errorf("round parameters: %w", err)
	}
	return nil
}

// of names the three kinds a checkpoint keeps.
func (s *shards) of(kind manifest.Kind) []kernel.Tensor {
	switch kind {
	case manifest.KindParam:
		return s.param
	case manifest.KindM:
		return s.m
	case manifest.KindV:
		return s.v
	}
	panic(fmt.Sprintf("train: no shard kind %q", kind))
}

var kinds = []manifest.Kind{manifest.KindParam, manifest.KindM, manifest.KindV}
