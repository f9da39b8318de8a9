package train

import (
	"context"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// reducer turns full gradients of single micro-batches into the summed gradient of the own shard.
//
// Each round, every rank sends each owner its slice of one micro-batch's gradient; the owner adds
// the slices leaf by leaf in the order of the tree (collective/tree). The group only moves bytes,
// so who computed a leaf cannot matter.
type reducer struct {
	group   collective.Group
	layout  *layout
	units   []model.Unit
	backend kernel.Backend
	shards  *shards
	sums    []*tree.Sum
	free    []*gradient // full-unit gradient buffers
	shared  *gradient   // unit 0 of a tied model: written by the head and by the embedding
	flying  []*flight
	spare   [][]float32 // receive buffers
	waited  time.Duration
}

type gradient struct {
	tensor kernel.Tensor
}

// flight is one unit's gradient on its way to the owners.
type flight struct {
	unit   int
	round  []*work
	handle collective.Handle
	buffer *gradient
	recv   [][]float32
}

// gradientBuffers is how many full-unit gradients a rank holds: one being computed, one flying.
const gradientBuffers = 2

func newReducer(t *trainer) (*reducer, error) {
	r := &reducer{group: t.group, layout: t.layout, units: t.units, backend: t.backend,
		shards: t.shards}
	most := 0
	for i, u := range t.units {
		most = max(most, u.Size)
		r.sums = append(r.sums, tree.NewSum(t.layout.leaves, t.shards.hi[i]-t.shards.lo[i], add))
	}
	for range gradientBuffers {
		x, err := t.backend.Alloc(most, kernel.F32)
		if err != nil {
			return nil, fmt.Errorf("allocate gradient buffer: %w", err)
		}
		r.free = append(r.free, &gradient{tensor: x})
	}
	x, err := t.backend.Alloc(t.units[0].Size, kernel.F32)
	if err != nil {
		return nil, fmt.Errorf("allocate gradient buffer: %w", err)
	}
	r.shared = &gradient{tensor: x}
	return r, nil
}

// add is the one operation of the reduction: one rounding an element.
func add(dst, a, b []float32) {
	b, dst = b[:len(a)], dst[:len(a)]
	for i, x := range a {
		dst[i] = x + b[i]
	}
}

// buffer returns the gradient tensor of a unit, waiting for an older flight if all are in use.
func (r *reducer) buffer(ctx context.Context, unit int) (*gradient, error) {
	if unit == 0 {
		return r.shared, r.land(ctx, func(f *flight) bool { return f.buffer == r.shared })
	}
	for len(r.free) == 0 { // the oldest flight may carry no buffer of this kind
		oldest := r.flying[0]
		if err := r.land(ctx, func(f *flight) bool { return f == oldest }); err != nil {
			return nil, err
		}
	}
	g := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	return g, nil
}

func (r *reducer) view(g *gradient, unit int) kernel.Tensor {
	return g.tensor.Slice(0, r.units[unit].Size)
}

// send starts the exchange of one unit's gradient for a round. A rank without a micro-batch in
// this round passes no gradient and only receives.
func (r *reducer) send(unit int, round []*work, g *gradient) {
	f := &flight{unit: unit, round: round, buffer: g}
	mine := r.shards.hi[unit] - r.shards.lo[unit]
	send := make([][]float32, r.layout.world)
	f.recv = make([][]float32, r.layout.world)
	for k, w := range round {
		if w != nil {
			f.recv[k] = r.receiveBuffer(mine)
		}
		if g != nil {
			to := r.layout.shardOf(r.units[unit], k)
			send[k] = r.backend.Host(g.tensor)[to.Lo:to.Hi]
		}
	}
	f.handle = r.group.AllToAll(f.recv, send)
	r.flying = append(r.flying, f)
}

func (r *reducer) receiveBuffer(n int) []float32 {
	if k := len(r.spare); k > 0 && cap(r.spare[k-1]) >= n {
		b := r.spare[k-1][:n]
		r.spare = r.spare[:k-1]
		return b
	}
	most := 0
	for i := range r.units {
		most = max(most, r.shards.hi[i]-r.shards.lo[i])
	}
	return make([]float32, most)[:n]
}

// land waits for the first flights up to and including the last one that matches, in order, and
// adds what they brought. The order of landing is the order of sending, so a leaf's micro-batches
// arrive in order.
func (r *reducer) land(ctx context.Context, match func(*flight) bool) error {
	last := -1
	for i, f := range r.flying {
		if match(f) {
			last = i
		}
	}
	for range last + 1 {
		f := r.flying[0]
		began := time.Now()
		if err := f.handle.Wait(ctx); err != nil {
			return fmt.Errorf("exchange gradient of %s: %w", r.units[f.unit].Name, err)
		}
		r.waited += time.Since(began)
		for k, w := range f.round {
			if w != nil {
				if err := r.sums[f.unit].Put(w.leaf, w.index, w.count, f.recv[k]); err != nil {
					return fmt.Errorf("add gradient of %s: %w", r.units[f.unit].Name, err)
				}
				r.spare = append(r.spare, f.recv[k])
			}
		}
		if f.buffer != nil && f.buffer != r.shared {
			r.free = append(r.free, f.buffer)
		}
		r.flying = r.flying[1:]
	}
	return nil
}

// finish lands everything and leaves the summed gradient in the shards.
func (r *reducer) finish(ctx context.Context) error {
	if err := r.land(ctx, func(*flight) bool { return true }); err != nil {
		return err
	}
	for i, sum := range r.sums {
		copy(r.backend.Host(r.shards.grad[i]), sum.Result())
		sum.Reset()
	}
	return nil
}
