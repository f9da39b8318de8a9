package train

import (
	"context"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// flight is slices of one unit's gradient on their way to the owners.
type flight struct {
	unit   int
	handle collective.Handle
	from   []arrival
	free   kernel.Tensor // the gradient that is free again after it; zero: none
}

// arrival is what one rank's slice brings to the own shard.
type arrival struct {
	rank    int
	work    *work      // sharded: a micro-batch
	subtree tree.Range // whole: a subtree
	slice   kernel.Tensor
	given   bool // slice is a vector of the pool, not part of a gradient
}

// sendMicroBatch starts the exchange of one unit's gradient g for a round. A rank without a
// micro-batch in this round has none and only receives.
func (r *reducer) sendMicroBatch(unit int, round []*work, g kernel.Tensor) error {
	f := &flight{unit: unit, free: g}
	for k, w := range round {
		if w == nil {
			continue
		}
		a := arrival{rank: k, work: w}
		if k == r.layout.rank {
			a.slice = g.Slice(r.shards.lo[unit], r.shards.hi[unit])
		}
		f.from = append(f.from, a)
	}
	return r.launch(f, g)
}

// sendSubtrees starts the exchange of the sums of a unit that this rank could add up alone: the
// first of each rank, then the second, and so on.
func (r *reducer) sendSubtrees(unit int) error {
	for i, more := 0, true; more; i++ {
		f, g := &flight{unit: unit}, kernel.Tensor{}
		more = false
		for k, subtrees := range r.subtrees {
			more = more || i+1 < len(subtrees)
			if i >= len(subtrees) {
				continue
			}
			a := arrival{rank: k, subtree: subtrees[i]}
			if k == r.layout.rank {
				sum, ok := r.whole[unit].Subtree(subtrees[i])
				if !ok {
					return fmt.Errorf("send gradient of %s: leaves %v are not complete",
						r.units[unit].Name, subtrees[i])
				}
				g, a.slice = sum, sum.Slice(r.shards.lo[unit], r.shards.hi[unit])
			}
			f.from = append(f.from, a)
		}
		if err := r.launch(f, g); err != nil {
			return err
		}
	}
	return nil
}

// launch sends the slices of g, if there is one, to their owners, and receives a vector for each
// arrival of f that has no slice yet.
func (r *reducer) launch(f *flight, g kernel.Tensor) error {
	send, recv := make([][]float32, r.layout.world), make([][]float32, r.layout.world)
	u := r.units[f.unit]
	mine := r.pools.get(r.shards.hi[f.unit] - r.shards.lo[f.unit])
	for i := range f.from {
		a := &f.from[i]
		if !a.slice.IsZero() {
			continue
		}
		slice, err := mine.Take()
		if err != nil {
			return err
		}
		a.slice, a.given = slice, true
		recv[a.rank] = r.backend.Host(slice)
	}
	for k := range send {
		if k != r.layout.rank && !g.IsZero() {
			to := r.layout.shardOf(u, k)
			send[k] = r.backend.Host(g.Slice(to.Lo, to.Hi))
		}
	}
	f.handle = r.group.AllToAll(recv, send)
	r.flying = append(r.flying, f)
	return nil
}

// land waits for the oldest flight and adds what it brought, in order of ranks. The order of
// landing is the order of sending, so a leaf's micro-batches arrive in order.
func (r *reducer) land(ctx context.Context) error {
	f := r.flying[0]
	began := time.Now()
	if err := f.handle.Wait(ctx); err != nil {
		return fmt.Errorf("exchange gradient of %s: %w", r.units[f.unit].Name, err)
	}
	r.waited += time.Since(began)
	sum := r.sums[f.unit]
	for _, a := range f.from {
		var err error
		if w := a.work; w != nil {
			err = sum.Put(w.leaf, w.index, w.count, a.slice, a.given)
		} else {
			err = sum.PutSubtree(a.subtree, a.slice, a.given)
		}
		if err != nil {
			return fmt.Errorf("add gradient of %s: %w", r.units[f.unit].Name, err)
		}
	}
	if !f.free.IsZero() {
		r.pools.get(r.units[f.unit].Size).Give(f.free)
		if f.unit > 0 {
			r.out--
		}
	}
	r.flying = r.flying[1:]
	return nil
}
