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
// The group only moves bytes, and every sum follows the tree (collective/tree), so who computed a
// leaf cannot matter. There are two ways, with the same bits:
//
// Sharded (zero2, zero3): each round, every rank sends each owner its slice of one micro-batch's
// gradient; the owner adds the slices leaf by leaf.
//
// Whole (zero1, fast, and a rank alone): a rank adds its own micro-batches' gradients, whole, over
// the complete subtrees that its leaves make. When the last round is through with a unit, the
// slices of these sums go to the owners, who finish the tree. A rank alone has finished it.
//
// Gradients are never copied: what the model wrote is handed to the sum, or sent from where it is.
type reducer struct {
	group    collective.Group
	layout   *layout
	units    []model.Unit
	backend  kernel.Backend
	shards   *shards
	pools    pools
	whole    []*tree.Sum[kernel.Tensor] // of whole units, own leaves only; nil when sharded
	sums     []*tree.Sum[kernel.Tensor] // of own shards; nil for a rank alone
	grads    []kernel.Tensor            // by unit: what the model is writing; zero: nothing
	out      int                        // sharded: gradients of units above 0 written or flying
	flying   []*flight
	subtrees [][]tree.Range // by rank: what it can add up alone
	waited   time.Duration
}

// gradientBuffers is how many full-unit gradients a sharded rank holds beside unit 0's: one being
// computed, one flying.
const gradientBuffers = 2

func newReducer(t *trainer) *reducer {
	r := &reducer{group: t.group, layout: t.layout, units: t.units, backend: t.backend,
		shards: t.shards, pools: pools{t.backend, map[int]*vectors{}},
		grads: make([]kernel.Tensor, len(t.units))}
	for k := range t.layout.world {
		r.subtrees = append(r.subtrees, tree.Subtrees(t.layout.leaves, t.layout.own(k)))
	}
	for i, u := range t.units {
		if t.layout.whole {
			r.whole = append(r.whole, tree.NewSum(t.layout.leaves, r.pools.get(u.Size)))
		}
		if t.layout.world > 1 {
			mine := r.pools.get(t.shards.hi[i] - t.shards.lo[i])
			r.sums = append(r.sums, tree.NewSum(t.layout.leaves, mine))
		}
	}
	return r
}

// begin forgets the last step's gradients, shards.grad included.
func (r *reducer) begin() {
	r.waited = 0
	for i := range r.units {
		r.shards.grad[i] = kernel.Tensor{}
		if r.whole != nil {
			r.whole[i].Reset()
		}
		if r.sums != nil {
			r.sums[i].Reset()
		}
	}
}

// gradient returns the tensor that the model writes a unit's gradient of this round to. A sharded
// rank waits for an older flight if all are in use.
func (r *reducer) gradient(ctx context.Context, unit int) (kernel.Tensor, error) {
	if !r.grads[unit].IsZero() {
		return r.grads[unit], nil // unit 0 of a tied model: the head has begun it
	}
	if r.whole == nil && unit > 0 {
		for r.out == gradientBuffers {
			if err := r.land(ctx); err != nil {
				return kernel.Tensor{}, err
			}
		}
		r.out++
	}
	g, err := r.pools.get(r.units[unit].Size).Take()
	r.grads[unit] = g
	return g, err
}

// done takes a unit's gradient of a round from the model, if this rank had a micro-batch in it,
// and sends what is due.
func (r *reducer) done(unit int, round []*work, last bool) error {
	g, mine := r.grads[unit], round[r.layout.rank]
	r.grads[unit] = kernel.Tensor{}
	if r.whole == nil {
		return r.sendMicroBatch(unit, round, g)
	}
	if mine != nil {
		if err := r.whole[unit].Put(mine.leaf, mine.index, mine.count, g, true); err != nil {
			return fmt.Errorf("add gradient of %s: %w", r.units[unit].Name, err)
		}
	}
	if last && r.layout.world > 1 {
		return r.sendSubtrees(unit)
	}
	return nil
}

// finish lands everything and says in shards.grad where the summed gradients are.
func (r *reducer) finish(ctx context.Context) error {
	for len(r.flying) > 0 {
		if err := r.land(ctx); err != nil {
			return err
		}
	}
	sums := r.sums
	if sums == nil {
		sums = r.whole
	}
	for i, sum := range sums {
		g, ok := sum.Result()
		if !ok {
			leaf, _ := sum.Missing()
			return fmt.Errorf("add gradient of %s: leaf %d is missing", r.units[i].Name, leaf)
		}
		r.shards.grad[i] = g
	}
	return nil
}
