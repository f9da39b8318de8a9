package tcp

import (
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// maxLead is how many pieces of one peer may come before those of another.
	maxLead = 4
	// paceTime is how long it makes sense to wait for a late peer.
	paceTime = 20 * time.Millisecond
	// all is more pieces than there are: of a rank with no more to come.
	all = math.MaxInt
)

// pace keeps the peers of an AllToAllFunc together, so that a piece of one is still in a cache, and
// few wait in memory, when the pieces come that are to be added to it. It is a help and no promise:
// where a peer is late, those before it go on after paceTime, so that no deadline and no blame
// depends on it.
type pace struct {
	mu    sync.Mutex
	taken []int // pieces, by rank
	least int
	moved chan struct{} // closed when least grows
	over  bool          // somebody was late
}

func newPace(counts []int) *pace {
	p := &pace{taken: make([]int, len(counts)), moved: make(chan struct{})}
	for r, n := range counts {
		if n == 0 {
			p.taken[r] = all
		}
	}
	p.least = slices.Min(p.taken)
	return p
}

// took says that n pieces of rank have been taken, or all.
func (p *pace) took(rank, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[rank] = n
	if least := slices.Min(p.taken); least > p.least {
		p.least = least
		p.wake()
	}
}

func (p *pace) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// keep waits until a rank that has taken n pieces is not too far ahead of others. It is false if
// the group died.
func (p *pace) keep(n int, aborted <-chan struct{}) bool {
	for {
		moved := p.ahead(n)
		if moved == nil {
			return true
		}
		select {
		case <-moved:
		case <-time.After(paceTime):
			p.giveUp()
		case <-aborted:
			return false
		}
	}
}

// ahead answers what to wait for, nil for nothing.
func (p *pace) ahead(n int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || n < p.least+maxLead {
		return nil
	}
	return p.moved
}

func (p *pace) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.wake()
}
