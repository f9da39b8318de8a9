package grouptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective"
)

// testBarrier checks that nobody passes before the last has come.
func testBarrier(t *testing.T, groups []collective.Group) {
	for range 20 {
		var arrived atomic.Int32
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			arrived.Add(1)
			if err := g.Barrier(ctx); err != nil {
				return err
			}
			if n := int(arrived.Load()); n != g.Size() {
				return fmt.Errorf("passed with %d of %d", n, g.Size())
			}
			return nil
		})
	}
}

// testRunAhead lets all but the last rank post 32 MiB of operations before the last posts any:
// they must wait in the sockets and arrive whole.
func testRunAhead(t *testing.T, groups []collective.Group) {
	const ops = 4
	counts := slices.Repeat([]int{(8 << 20) / 4 / len(groups)}, len(groups))
	wants := make([][]float32, ops)
	for op := range ops {
		wants[op] = gathered(counts, op)
	}
	last := collective.Rank(len(groups) - 1)
	ahead := make(chan struct{}, len(groups))
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		if g.Rank() == last {
			for range g.Size() - 1 {
				select {
				case <-ahead:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		var handles []collective.Handle
		var results [][]float32
		for op := range ops {
			dst := make([]float32, sum(counts))
			src := fill(make([]float32, counts[g.Rank()]), int(g.Rank()), everywhere, op)
			handles = append(handles, g.AllGather(dst, counts, src))
			results = append(results, dst)
		}
		ahead <- struct{}{}
		for op, h := range handles {
			if err := h.Wait(ctx); err != nil {
				return err
			}
			if err := sameBits(results[op], wants[op]); err != nil {
				return fmt.Errorf("operation %d: %w", op, err)
			}
		}
		return nil
	})
}

// testAbortMidOp aborts while all wait for rank 0, which has not come.
func testAbortMidOp(t *testing.T, groups []collective.Group) {
	cause := errors.New("the generation has ended")
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		start := time.Now()
		counts := slices.Repeat([]int{1 << 20}, g.Size())
		dst := make([]float32, sum(counts))
		if g.Rank() > 0 {
			h := g.AllGather(dst, counts, make([]float32, 1<<20))
			if g.Rank() == 1 {
				go g.Abort(cause)
			}
			if err := isAborted(h.Wait(ctx)); err != nil {
				return err
			}
			clear(dst) // the race detector objects if somebody still writes
		}
		g.Abort(cause)
		g.Abort(nil)
		err := g.AllGather(dst, counts, make([]float32, 1<<20)).Wait(ctx)
		if err := names(err, cause); err != nil {
			return err
		}
		if _, err := g.AllGatherBytes(ctx, nil); !errors.Is(err, collective.ErrAborted) {
			return fmt.Errorf("AllGatherBytes after the abort: %w", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			return fmt.Errorf("it took %v", took)
		}
		return isAborted(g.Barrier(ctx))
	})
}

// names checks that an error after an abort says why.
func names(err, cause error) error {
	if err := isAborted(err); err != nil {
		return err
	}
	// A peer that aborts in mid-frame cannot always say why: then it is named itself.
	if !strings.Contains(err.Error(), cause.Error()) && !strings.Contains(err.Error(), "rank ") {
		return fmt.Errorf("%w does not name its cause", err)
	}
	return nil
}

// testWaitEndsWithContext waits for a rank that never comes.
func testWaitEndsWithContext(t *testing.T, groups []collective.Group) {
	if len(groups) == 1 {
		return // nobody to wait for
	}
	Each(t, groups[1:], func(ctx context.Context, g collective.Group) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		return isAborted(g.Barrier(ctx))
	})
}

// misuse makes a test that calls an operation with wrong arguments on one rank: an error there that
// names what is wrong, and the end for all.
func misuse(call func(g collective.Group) collective.Handle, want string,
) func(*testing.T, []collective.Group) {
	return func(t *testing.T, groups []collective.Group) {
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			if g.Rank() != 0 {
				return isAborted(g.Barrier(ctx))
			}
			err := call(g).Wait(ctx)
			if err := isAborted(err); err != nil {
				return err
			}
			if !strings.Contains(err.Error(), want) {
				return fmt.Errorf("%w does not say %q", err, want)
			}
			return isAborted(g.Barrier(ctx))
		})
	}
}

func misusedAllGather(g collective.Group) collective.Handle {
	return g.AllGather(make([]float32, 7), slices.Repeat([]int{2}, g.Size()), make([]float32, 2))
}

func misusedAllToAll(g collective.Group) collective.Handle {
	return g.AllToAll(make([][]float32, g.Size()+1), make([][]float32, g.Size()))
}

func misusedAllToAllFunc(g collective.Group) collective.Handle {
	return g.AllToAllFunc(slices.Repeat([]int{2}, g.Size()), make([][]float32, g.Size()), nil)
}

// testCountsDiffer lets the last rank believe in other counts. All ranks must hear of it.
func testCountsDiffer(t *testing.T, groups []collective.Group) {
	if len(groups) == 1 {
		return
	}
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		counts := slices.Repeat([]int{100}, g.Size())
		if int(g.Rank()) == g.Size()-1 {
			counts[g.Rank()] = 99
		}
		dst, src := make([]float32, sum(counts)), make([]float32, counts[g.Rank()])
		// The rank with the odd counts may finish this one before it hears.
		err := errors.Join(g.AllGather(dst, counts, src).Wait(ctx), g.Barrier(ctx))
		if err := isAborted(err); err != nil {
			return err
		}
		if !strings.Contains(err.Error(), "counts differ") {
			return fmt.Errorf("%w does not say that counts differ", err)
		}
		return nil
	})
}

// testOperationsDiffer lets rank 0 call something else than the others.
func testOperationsDiffer(t *testing.T, groups []collective.Group) {
	if len(groups) == 1 {
		return
	}
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		if g.Rank() == 0 {
			return isAborted(errors.Join(g.Barrier(ctx), g.Barrier(ctx)))
		}
		_, err := g.AllGatherBytes(ctx, []byte("x"))
		return isAborted(errors.Join(err, g.Barrier(ctx)))
	})
}
