package tcp

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
)

func TestPaceHoldsBackTheFastAlone(t *testing.T) {
	p := newPace([]int{9, 0, 9}) // nothing comes from rank 1
	held := func(taken int) bool { return p.ahead(taken) != nil }
	for n := range maxLead {
		if held(n) {
			t.Fatalf("held back after %d pieces", n)
		}
		p.took(0, n+1)
	}
	if !held(maxLead) || held(0) {
		t.Fatal("the fast is not held back, or the slow is")
	}
	moved := p.ahead(maxLead)
	p.took(2, 1)
	<-moved
	if held(maxLead) || !held(maxLead+1) {
		t.Fatal("the lead is not counted from the slowest")
	}
	dead := make(chan struct{})
	close(dead)
	if p.keep(maxLead+1, dead) {
		t.Fatal("a dead group goes on")
	}
	if !p.keep(maxLead+1, nil) || !p.over {
		t.Fatal("who waits in vain does not go on")
	}
	if held(1000) {
		t.Fatal("held back after somebody was late")
	}
}

// TestPaceEndsWithTheSlowest: a rank that sends less does not hold back the others.
func TestPaceEndsWithTheSlowest(t *testing.T) {
	p := newPace([]int{0, 1, 100})
	for n := 1; n <= maxLead; n++ {
		p.took(2, n)
	}
	if p.ahead(maxLead) == nil {
		t.Fatal("not held back")
	}
	p.took(1, all)
	if p.ahead(2*maxLead-1) != nil {
		t.Fatal("held back by one that has sent everything")
	}
}

// TestLateRankDoesNotHoldUpPieces: what the others send comes while one is late, however much it
// is.
func TestLateRankDoesNotHoldUpPieces(t *testing.T) {
	const pieces = 3 * maxLead
	groups := open(t, 3, opTimeout, nil)
	var fast sync.WaitGroup // pieces of rank 1 at rank 0 and of rank 0 at rank 1
	fast.Add(2 * pieces)
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		if g.Rank() == 2 {
			fast.Wait()
		}
		counts, send := make([]int, 3), make([][]float32, 3)
		for r := range 3 {
			if r != int(g.Rank()) {
				counts[r] = pieces * collective.PieceElements
				send[r] = make([]float32, counts[r])
			}
		}
		var mu sync.Mutex
		come := 0
		err := g.AllToAllFunc(counts, send, func(from collective.Rank, _ int, _ []float32) error {
			if from < 2 && g.Rank() < 2 {
				fast.Done()
			}
			mu.Lock()
			come++
			mu.Unlock()
			return nil
		}).Wait(ctx)
		if err == nil && come != 2*pieces {
			return fmt.Errorf("%d pieces, want %d", come, 2*pieces)
		}
		return err
	})
}
