package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// gatherer holds full units, made of every rank's shard, in buffers of the dtype that the model
// computes with.
//
// zero3 has just enough buffers to compute on one unit while the next arrives; zero1 and zero2 have
// one a unit, in which the own shard already lies, so that each is gathered once after each update.
// That is the whole difference. Which unit leaves a buffer follows from the sequence of uses, which
// is the same on every rank, so all ranks issue the same collectives in the same order.
type gatherer struct {
	group   collective.Group
	layout  *layout
	units   []model.Unit
	backend kernel.Backend
	shards  *shards
	fixed   bool // buffers[u] is for unit u only
	buffers []*gathered
	uses    []int // units in the order they will be asked for; uses[next:] is the future
	next    int
	waited  time.Duration
}

type gathered struct {
	tensor kernel.Tensor
	unit   int // whose parameters are here, or on their way; -1: nobody's
	handle collective.Handle
}

// newGatherer makes a gatherer with so many buffers, or one around each shard if the shards lie in
// whole units.
func newGatherer(t *trainer, buffers int) (*gatherer, error) {
	g := &gatherer{group: t.group, layout: t.layout, units: t.units, backend: t.backend,
		shards: t.shards, fixed: t.shards.full != nil}
	for _, x := range t.shards.full {
		g.buffers = append(g.buffers, &gathered{tensor: x, unit: -1})
	}
	if g.fixed {
		return g, nil
	}
	most := 0
	for _, u := range t.units {
		most = max(most, u.Size)
	}
	for range min(buffers, len(t.units)) {
		x, err := t.backend.Alloc(most, t.compute)
		if err != nil {
			return nil, fmt.Errorf("allocate gather buffer: %w", err)
		}
		g.buffers = append(g.buffers, &gathered{tensor: x, unit: -1})
	}
	return g, nil
}

// begin announces the uses until the next begin. What was gathered before stays good until it is
// outdated.
func (g *gatherer) begin(uses []int) {
	g.uses, g.next, g.waited = uses, 0, 0
	if !g.fixed {
		return
	}
	for _, unit := range uses {
		if b := g.buffers[unit]; b.unit < 0 {
			g.fill(b, unit)
		}
	}
}

// outdate says that a unit's shards have changed everywhere. No gather may be under way. If renew
// is set and the unit has a buffer of its own, its next gather starts at once.
func (g *gatherer) outdate(unit int, renew bool) {
	for _, b := range g.buffers {
		if b.unit != unit {
			continue
		}
		if b.unit = -1; g.fixed && renew {
			g.fill(b, unit)
		}
	}
}

// drain waits for what is under way, for a run that ends without using it.
func (g *gatherer) drain(ctx context.Context) error {
	for _, b := range g.buffers {
		if err := g.settle(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// take returns the next announced units, whole. They stay until the next take.
func (g *gatherer) take(ctx context.Context, units []int) ([]kernel.Tensor, error) {
	out := make([]kernel.Tensor, len(units))
	for i, unit := range units {
		if g.next >= len(g.uses) || g.uses[g.next] != unit {
			panic(fmt.Sprintf("train: unit %d taken out of turn (use %d)", unit, g.next))
		}
		g.next++
		b := g.find(unit)
		if b == nil {
			b = g.victim(units)
			g.fill(b, unit)
		}
		if err := g.settle(ctx, b); err != nil {
			return nil, err
		}
		out[i] = b.tensor.Slice(0, g.units[unit].Size)
	}
	return out, nil
}

// prefetch starts the gather of the next announced use, sparing the units in use now.
func (g *gatherer) prefetch(inUse []int) {
	if g.next >= len(g.uses) {
		return
	}
	unit := g.uses[g.next]
	if g.find(unit) != nil {
		return
	}
	if b := g.victim(inUse); b != nil {
		g.fill(b, unit)
	}
}

func (g *gatherer) settle(ctx context.Context, b *gathered) error {
	if b.handle == nil {
		return nil
	}
	began := time.Now()
	if err := b.handle.Wait(ctx); err != nil {
		return fmt.Errorf("gather unit %s: %w", g.units[b.unit].Name, err)
	}
	b.handle = nil
	g.waited += time.Since(began)
	return nil
}

func (g *gatherer) find(unit int) *gathered {
	for _, b := range g.buffers {
		if b.unit == unit {
			return b
		}
	}
	return nil
}

// victim is a free buffer, or the one whose unit is needed furthest in the future.
func (g *gatherer) victim(inUse []int) *gathered {
	var best *gathered
	furthest := -1
	for _, b := range g.buffers {
		if b.unit < 0 {
			return b
		}
		if slices.Contains(inUse, b.unit) || b.handle != nil {
			continue
		}
		if d := g.distance(b.unit); d > furthest {
			best, furthest = b, d
		}
	}
	return best
}

func (g *gatherer) distance(unit int) int {
	for i := g.next; i < len(g.uses); i++ {
		if g.uses[i] == unit {
			return i - g.next
		}
	}
	return len(g.uses)
}

// fill starts the gather of a unit into a buffer. A rank alone has nothing to gather: its shard is
// the unit.
func (g *gatherer) fill(b *gathered, unit int) {
	b.unit = unit
	if g.layout.world == 1 {
		return
	}
	u := g.units[unit]
	counts := g.layout.counts(u)
	for k := range counts { // float32 words that hold the elements
		counts[k] = counts[k] * b.tensor.DType.Size() / kernel.F32.Size()
	}
	dst := g.backend.Host(b.tensor.Slice(0, u.Size).Words())
	b.handle = g.group.AllGather(dst, counts, g.backend.Host(g.shards.compute(unit).Words()))
}
