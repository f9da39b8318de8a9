package nccl

import (
	"context"
	"fmt"
	"math"

	"github.com/banyan-train/banyan/collective"
)

// announcement is what the ranks tell each other about an operation, over the control group: each
// its peers what it calls, and how much it sends them. Whoever receives compares, and if it expects
// something else its abort tells all. Control groups carry bits of float32.
type announcement struct {
	handle     collective.Handle
	sent, came [][]float32 // by rank
}

// words of an announcement: kind, elements to be sent (low, high).
const words = 3

func encode(k kind, sends int) []float32 {
	return []float32{math.Float32frombits(uint32(k)), math.Float32frombits(uint32(sends)),
		math.Float32frombits(uint32(uint64(sends) >> 32))}
}

func decode(v []float32) (k kind, sends uint64) {
	return kind(math.Float32bits(v[0])),
		uint64(math.Float32bits(v[1])) | uint64(math.Float32bits(v[2]))<<32
}

// announce tells the peers about o. It does not wait.
func (g *Group) announce(o *op) {
	a := &announcement{sent: make([][]float32, g.size), came: make([][]float32, g.size)}
	for r := range g.size {
		if r != g.rank {
			a.sent[r] = encode(o.kind, len(o.send[r]))
			a.came[r] = make([]float32, words)
		}
	}
	a.handle = g.control.AllToAll(a.came, a.sent)
	o.announced = a
}

// agree waits for the announcements of the peers, operation by operation, and compares.
func (g *Group) agree() {
	for {
		o, ok := g.toAgree.pop(g.aborted)
		if !ok {
			return
		}
		if err := o.announced.handle.Wait(context.Background()); err != nil {
			g.Abort(fmt.Errorf("announce %v: %w", o, err))
			return
		}
		if err := g.compare(o); err != nil {
			g.Abort(err)
			return
		}
		o.agreed.Store(true)
		o.finish()
	}
}

// compare holds what the peers announced against what this rank called.
func (g *Group) compare(o *op) error {
	for r, v := range o.announced.came {
		if r == g.rank {
			continue
		}
		k, sends := decode(v)
		switch {
		case k != o.kind:
			return fmt.Errorf("%w: rank %d calls %v, this rank %v", ErrMismatch, r, k, o)
		case sends != uint64(o.counts[r]):
			return fmt.Errorf("%w: counts differ in %v: rank %d sends %d elements, this rank "+
				"expects %d", ErrMismatch, o, r, sends, o.counts[r])
		}
	}
	return nil
}
