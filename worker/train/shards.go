package train

import (
	"fmt"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// shards is what a rank owns of every unit: fp32 parameters, both AdamW moments, and the summed
// gradient of the step.
type shards struct {
	lo, hi            []int // element range inside the unit
	param, m, v, grad []kernel.Tensor
}

func newShards(l *layout, units []model.Unit, be kernel.Backend) (*shards, error) {
	s := &shards{}
	for _, u := range units {
		r := l.shardOf(u, l.rank)
		s.lo, s.hi = append(s.lo, r.Lo), append(s.hi, r.Hi)
		for _, list := range []*[]kernel.Tensor{&s.param, &s.m, &s.v, &s.grad} {
			t, err := be.Alloc(r.Hi-r.Lo, kernel.F32)
			if err != nil {
				return nil, fmt.Errorf("allocate shard of %s: %w", u.Name, err)
			}
			*list = append(*list, t)
		}
	}
	return s, nil
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
