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
	from   map[collective.Rank]tree.Partial // what each rank sends; those that send nothing are not in
	free   kernel.Tensor                    // the gradient that is free again after it; zero: none
}

// sendMicroBatch starts the exchange of one unit's gradient g for a round. A rank without a
// micro-batch in this round has none and only receives.
func (r *reducer) sendMicroBatch(unit int, round []*work, g kernel.Tensor) error {
	f := &flight{unit: unit, free: g, from: map[collective.Rank]tree.Partial{}}
	for k, w := range round {
		if w != nil {
			f.from[collective.Rank(k)] = tree.Partial{Leaf: w.leaf, Index: w.index, Count: w.count}
		}
	}
	if g.IsZero() {
		return r.launch(f, g)
	}
	own, claim := g.Slice(r.shards.lo[unit], r.shards.hi[unit]), tree.Lent
	if r.home[unit].IsZero() { // the first of the step: its copy becomes the sum
		pool := r.pools.get(own.Len)
		home, err := pool.Take()
		if err != nil {
			return err
		}
		if err := pool.Copy(home, own); err != nil {
			return fmt.Errorf("keep gradient of %s: %w", r.units[unit].Name, err)
		}
		own, claim, r.home[unit] = home, tree.Kept, home
	}
	if err := r.putOwn(f, own, claim); err != nil {
		return err
	}
	return r.launch(f, g)
}

// sendSubtrees starts the exchange of the sums of a unit that this rank could add up alone: the
// first of each rank, then the second, and so on.
func (r *reducer) sendSubtrees(unit int) error {
	for i, more := 0, true; more; i++ {
		f, g := &flight{unit: unit, from: map[collective.Rank]tree.Partial{}}, kernel.Tensor{}
		more = false
		for k, subtrees := range r.subtrees {
			if i < len(subtrees) {
				f.from[collective.Rank(k)] = tree.Partial{Subtree: subtrees[i]}
			}
			more = more || i+1 < len(subtrees)
		}
		if mine := r.subtrees[r.layout.rank]; i < len(mine) {
			sum, ok := r.whole[unit].Subtree(mine[i])
			if !ok {
				return fmt.Errorf("send gradient of %s: leaves %v are not complete",
					r.units[unit].Name, mine[i])
			}
			g = sum
			own := g.Slice(r.shards.lo[unit], r.shards.hi[unit])
			if i == 0 {
				r.home[unit] = own
			}
			if err := r.putOwn(f, own, tree.Kept); err != nil {
				return err
			}
		}
		if err := r.launch(f, g); err != nil {
			return err
		}
	}
	return nil
}

// putOwn adds this rank's own slice before those of others can come.
func (r *reducer) putOwn(f *flight, own kernel.Tensor, claim tree.Claim) error {
	partial := f.from[r.group.Rank()]
	if err := r.sums[f.unit].Put(partial, r.backend.Host(own), claim); err != nil {
		return fmt.Errorf("add gradient of %s: %w", r.units[f.unit].Name, err)
	}
	return nil
}

// launch sends the slices of g, if there is one, to their owners, and adds what comes.
func (r *reducer) launch(f *flight, g kernel.Tensor) error {
	world, me, u := r.layout.world, r.layout.rank, r.units[f.unit]
	send, counts := make([][]float32, world), make([]int, world)
	for k := range world {
		if k == me {
			continue
		}
		if _, comes := f.from[collective.Rank(k)]; comes {
			counts[k] = r.shards.hi[f.unit] - r.shards.lo[f.unit]
		}
		if !g.IsZero() {
			to := r.layout.shardOf(u, k)
			send[k] = r.backend.Host(g.Slice(to.Lo, to.Hi))
		}
	}
	sum := r.sums[f.unit]
	f.handle = r.group.AllToAllFunc(counts, send,
		func(from collective.Rank, at int, part []float32) error {
			if err := sum.PutPiece(f.from[from], at, part, tree.Lent); err != nil {
				return fmt.Errorf("add gradient of %s: %w", u.Name, err)
			}
			return nil
		})
	r.flying = append(r.flying, f)
	return nil
}

// land waits for the oldest flight. What a rank sends of a leaf's micro-batches arrives in the
// order of sending.
func (r *reducer) land(ctx context.Context) error {
	f := r.flying[0]
	began := time.Now()
	if err := f.handle.Wait(ctx); err != nil {
		return fmt.Errorf("exchange gradient of %s: %w", r.units[f.unit].Name, err)
	}
	r.waited += time.Since(began)
	if !f.free.IsZero() {
		r.pools.get(r.units[f.unit].Size).Give(f.free)
		if f.unit > 0 {
			r.out--
		}
	}
	r.flying = r.flying[1:]
	return nil
}
