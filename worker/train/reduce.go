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
// gradient; the owner adds the slices leaf by leaf, in a vector of its own.
//
// Whole (zero1, fast, and a rank alone): a rank adds its own micro-batches' gradients, whole, over
// the complete subtrees that its leaves make. When the last round is through with a unit, the
// slices of these sums go to the owners, who finish the tree in their own slices. A rank alone has
// finished it.
//
// What arrives is added at once, piece by piece, by the goroutines of the group that receive it and
// beside the model's work: in a cache still, and without memory of its own. Gradients are sent from
// where the model, or a sum, wrote them.
type reducer struct {
	group    collective.Group
	layout   *layout
	units    []model.Unit
	backend  kernel.Backend
	shards   *shards
	pools    pools
	whole    []*tree.Sum[kernel.Tensor] // of whole units, own leaves only; nil when sharded
	sums     []*tree.Pieces             // of own shards; nil for a rank alone
	home     []kernel.Tensor            // by unit: where sums leaves its result; zero: not known yet
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
		grads: make([]kernel.Tensor, len(t.units)), home: make([]kernel.Tensor, len(t.units))}
	memory := tree.FloatsBySize(t.backend.HostAdd)
	for k := range t.layout.world {
		r.subtrees = append(r.subtrees, tree.Subtrees(t.layout.leaves, t.layout.own(k)))
	}
	for i, u := range t.units {
		if t.layout.whole {
			r.whole = append(r.whole, tree.NewSum(t.layout.leaves, r.pools.get(u.Size)))
		}
		if t.layout.world > 1 {
			r.sums = append(r.sums, tree.NewPieces(t.layout.leaves,
				t.shards.hi[i]-t.shards.lo[i], collective.PieceElements, memory))
		}
	}
	return r
}

// begin forgets the last step's gradients, shards.grad included.
func (r *reducer) begin() {
	r.waited = 0
	for i := range r.units {
		r.shards.grad[i] = kernel.Tensor{}
		if r.sums != nil {
			r.sums[i].Reset()
		}
		switch home := r.home[i]; {
		case r.whole != nil:
			r.whole[i].Reset()
		case !home.IsZero():
			r.pools.get(home.Len).Give(home)
		}
		r.home[i] = kernel.Tensor{}
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
		err := r.whole[unit].Put(mine.leaf, mine.index, mine.count, g, tree.Given)
		if err != nil {
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
	for i, u := range r.units {
		var leaf int
		var missing bool
		if r.sums != nil {
			leaf, missing = r.sums[i].Missing()
			r.shards.grad[i] = r.home[i]
		} else {
			leaf, missing = r.whole[i].Missing()
			r.shards.grad[i], _ = r.whole[i].Result()
		}
		if missing {
			return fmt.Errorf("add gradient of %s: leaf %d is missing", u.Name, leaf)
		}
	}
	return nil
}
