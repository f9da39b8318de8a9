package grouptest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/banyan-train/banyan/collective"
)

// testAllToAllFunc checks that every piece comes once, in order and whole, is the caller's to
// spoil, and has come when Wait returns. Every other operation the ranks of odd number call
// AllToAll.
func testAllToAllFunc(t *testing.T, groups []collective.Group) {
	for op := range 6 {
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			recv, send := pairs(g, op)
			me := int(g.Rank())
			if op%2 == 1 && me%2 == 1 {
				if err := g.AllToAll(recv, send).Wait(ctx); err != nil {
					return err
				}
				return checkPairs(g, recv, op)
			}
			counts := make([]int, g.Size())
			for r := range recv {
				counts[r] = len(recv[r])
			}
			copy(recv[me], send[me])
			counts[me], send[me] = 0, nil
			var mu sync.Mutex
			come := make([]int, g.Size())
			h := g.AllToAllFunc(counts, send,
				func(from collective.Rank, at int, part []float32) error {
					mu.Lock()
					defer mu.Unlock()
					if want := min(collective.PieceElements, counts[from]-at); at != come[from] ||
						len(part) != want {
						return fmt.Errorf("%d elements at %d of rank %d, want %d at %d",
							len(part), at, from, want, come[from])
					}
					come[from] += copy(recv[from][at:], part)
					for i := range part {
						part[i] = float32(math.NaN())
					}
					return nil
				})
			for range 2 {
				if err := h.Wait(ctx); err != nil {
					return err
				}
			}
			for r, n := range counts {
				if come[r] != n {
					return fmt.Errorf("%d of %d elements of rank %d have come", come[r], n, r)
				}
			}
			return checkPairs(g, recv, op)
		})
	}
}

// testAllToAllFuncRefused: an error of take is the group's end, and named on every rank.
func testAllToAllFuncRefused(t *testing.T, groups []collective.Group) {
	cause := errors.New("no place for it")
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		h := exchange(g, 5, func(collective.Rank, int, []float32) error {
			if g.Rank() == 0 {
				return cause
			}
			return nil
		})
		if g.Size() == 1 {
			return h.Wait(ctx) // nothing has come
		}
		if g.Rank() > 0 {
			// It may be done before it hears.
			err := errors.Join(h.Wait(ctx), g.Barrier(ctx))
			return names(err, cause)
		}
		for range 2 {
			if err := h.Wait(ctx); !errors.Is(err, cause) {
				return fmt.Errorf("error %w, want the cause", err)
			}
		}
		return isAborted(g.Barrier(ctx))
	})
}

// exchange sends n elements to every other rank.
func exchange(g collective.Group, n int, take collective.Take) collective.Handle {
	counts, send := make([]int, g.Size()), make([][]float32, g.Size())
	for r := range counts {
		if r != int(g.Rank()) {
			counts[r], send[r] = n, make([]float32, n)
		}
	}
	return g.AllToAllFunc(counts, send, take)
}

// testAllToAllFuncAborted: after an abort Wait returns only when the calls of take under way have.
func testAllToAllFuncAborted(t *testing.T, groups []collective.Group) {
	if len(groups) == 1 {
		return // nothing comes
	}
	const n = 3 * collective.PieceElements
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		if g.Rank() > 0 {
			h := exchange(g, n, func(collective.Rank, int, []float32) error { return nil })
			return isAborted(errors.Join(h.Wait(ctx), g.Barrier(ctx)))
		}
		entered, aborted := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var inside atomic.Int32
		h := exchange(g, n, func(collective.Rank, int, []float32) error {
			inside.Add(1)
			defer inside.Add(-1)
			once.Do(func() { close(entered) })
			<-aborted
			for range 1000 { // time for Wait to return too early
				runtime.Gosched()
			}
			return nil
		})
		select {
		case <-entered:
		case <-ctx.Done():
			close(aborted)
			return ctx.Err()
		}
		g.Abort(errors.New("the generation has ended"))
		close(aborted)
		err := h.Wait(ctx)
		if calls := inside.Load(); calls != 0 {
			return fmt.Errorf("%d calls of take have not returned, and Wait has", calls)
		}
		return isAborted(err)
	})
}
