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

// gatherer holds full units, made of every rank's shard, in a few buffers.
//
// zero3 has just enough buffers to compute on one unit while the next arrives; zero2 has one a
// unit, so that each is gathered once a step. That is the whole difference. Which unit leaves
// follows from the sequence of uses, which is the same on every rank, so all ranks issue the same
// collectives in the same order.
type gatherer struct {
	group   collective.Group
	layout  *layout
	units   []model.Unit
	backend kernel.Backend
	shards  *shards
	buffers []*gathered
	uses    []int // units in the order they will be asked for; uses[next:] is the future
	next    int
	waited  time.Duration
}

type gathered struct {
	tensor kernel.Tensor
	unit   int // -1: free
	handle collective.Handle
}

func newGatherer(t *trainer, buffers int) (*gatherer, error) {
	g := &gatherer{group: t.group, layout: t.layout, units: t.units, backend: t.backend,
		shards: t.shards}
	if t.layout.world == 1 {
		return g, nil // the shard is the unit
	}
	most := 0
	for _, u := range t.units {
		most = max(most, u.Size)
	}
	for i := range min(buffers, len(t.units)) {
		size := most
		if buffers >= len(t.units) {
			size = t.units[i].Size
		}
		x, err := t.backend.Alloc(size, kernel.F32)
		if err != nil {
			return nil, fmt.Errorf("allocate gather buffer: %w", err)
		}
		g.buffers = append(g.buffers, &gathered{tensor: x, unit: -1})
	}
	return g, nil
}

// begin announces the uses of a step and forgets what was gathered before it.
func (g *gatherer) begin(uses []int) {
	g.uses, g.next, g.waited = uses, 0, 0
	for _, b := range g.buffers {
		b.unit = -1
	}
}

// take returns the next announced units, whole. They stay until the next take.
func (g *gatherer) take(ctx context.Context, units []int) ([]kernel.Tensor, error) {
	out := make([]kernel.Tensor, len(units))
	for i, unit := range units {
		if g.next >= len(g.uses) || g.uses[g.next] != unit {
			panic(fmt.Sprintf("train: unit %d taken out of turn (use %d)", unit, g.next))
		}
		g.next++
		if g.layout.world == 1 {
			out[i] = g.shards.param[unit]
			continue
		}
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
	if g.layout.world == 1 || g.next >= len(g.uses) {
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

func (g *gatherer) fill(b *gathered, unit int) {
	u := g.units[unit]
	dst := g.backend.Host(b.tensor)[:u.Size]
	b.unit = unit
	b.handle = g.group.AllGather(dst, g.layout.counts(u), g.backend.Host(g.shards.param[unit]))
}
