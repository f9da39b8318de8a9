package tcp

import (
	"fmt"
	"time"

	"github.com/banyan-train/banyan/collective"
)

// ticksPerTimeout is how often the watchdog looks during one OpTimeout.
const ticksPerTimeout = 16

// progress is what the watchdog knows of one peer.
type progress struct {
	moved uint64 // bytes and operations, both directions, at the last look
	idle  int    // looks in a row at which an operation was due and nothing had moved
}

// watch aborts the group when an operation is due from a peer and nothing moves between the two
// for the timeout. It counts its own ticks rather than the time: a process that was stopped and
// goes on sees one tick, and does not blame its peers for its own absence.
func (g *Group) watch() {
	tick := time.NewTicker(max(g.timeout/ticksPerTimeout, time.Millisecond))
	defer tick.Stop()
	seen := make([]progress, g.Size())
	for {
		select {
		case <-g.released:
			return
		case <-g.aborted:
			return
		case <-tick.C:
		}
		if err := g.look(seen); err != nil {
			g.Abort(err)
			return
		}
	}
}

// look updates seen and answers the stall it found, nil if none.
func (g *Group) look(seen []progress) error {
	g.mu.Lock()
	posted := g.posted
	g.mu.Unlock()
	first, stalled := uint64(0), false
	for p := range g.others() {
		s := &seen[p.rank]
		moved := p.bytesSent.Load() + p.bytesRead.Load() + p.sent.Load() + p.received.Load()
		if moved != s.moved || p.due() > posted {
			s.moved, s.idle = moved, 0
			continue
		}
		s.idle++
		if s.idle > ticksPerTimeout && (!stalled || p.due() < first) {
			first, stalled = p.due(), true
		}
	}
	if !stalled {
		return nil
	}
	// Only those that hold up the oldest operation are to blame: the others may wait for them.
	// A look of tolerance, since they may have been asked within the same tick.
	e := &PeerError{Err: fmt.Errorf("%w for %v", ErrStalled, g.timeout)}
	for p := range g.others() {
		if seen[p.rank].idle >= ticksPerTimeout && p.due() == first {
			e.Ranks = append(e.Ranks, collective.Rank(p.rank))
		}
	}
	if o := g.oldest(first - 1); o != nil {
		e.Op, e.Seq = o.kind.String(), o.seq
	}
	if len(e.Ranks) == 0 {
		return nil // it moved between the two loops
	}
	return e
}

// due is the number of the oldest operation that is not finished with p.
func (p *peer) due() uint64 { return min(p.sent.Load(), p.received.Load()) + 1 }
