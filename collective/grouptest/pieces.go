package grouptest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
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

// testAllToAllFuncRefused: an error of take is the group's end, and names its cause on this rank.
func testAllToAllFuncRefused(t *testing.T, groups []collective.Group) {
	cause := errors.New("no place for it")
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		counts, send := make([]int, g.Size()), make([][]float32, g.Size())
		for r := range counts {
			if r != int(g.Rank()) {
				counts[r], send[r] = 5, make([]float32, 5)
			}
		}
		h := g.AllToAllFunc(counts, send, func(collective.Rank, int, []float32) error {
			return cause
		})
		for range 2 {
			err := h.Wait(ctx)
			if g.Size() == 1 {
				return err // nothing has come
			}
			if err := isAborted(err); err != nil {
				return err
			}
			// A peer that was faster has aborted this rank too; then the cause is its word.
		}
		return isAborted(g.Barrier(ctx))
	})
}
