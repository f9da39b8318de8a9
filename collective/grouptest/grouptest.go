package grouptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
)

// Factory makes the groups of one world, by rank. It registers their end with t.Cleanup.
type Factory func(t testing.TB, world int) []collective.Group

// patience bounds every test: a backend that hangs fails instead; one that is starved does not.
const patience = 2 * time.Minute

// Worlds are the sizes of world that the suite runs.
var Worlds = []int{1, 2, 3, 4, 5}

// Run runs the suite on the backend behind open.
func Run(t *testing.T, open Factory) {
	for _, c := range []struct {
		name string
		test func(*testing.T, []collective.Group)
	}{
		{"AllGather", testAllGather},
		{"AllGatherInPlace", testAllGatherInPlace},
		{"AllToAll", testAllToAll},
		{"AllToAllFunc", testAllToAllFunc},
		{"AllToAllFuncRefused", testAllToAllFuncRefused},
		{"AllToAllFuncAborted", testAllToAllFuncAborted},
		{"ManyInFlight", testManyInFlight},
		{"AllGatherBytes", testAllGatherBytes},
		{"Barrier", testBarrier},
		{"RunAhead", testRunAhead},
		{"AbortMidOp", testAbortMidOp},
		{"WaitEndsWithContext", testWaitEndsWithContext},
		{"MisusedAllGather", misuse(misusedAllGather, "dst")},
		{"MisusedAllToAll", misuse(misusedAllToAll, "recv")},
		{"MisusedAllToAllFunc", misuse(misusedAllToAllFunc, "itself")},
		{"CountsDiffer", testCountsDiffer},
		{"OperationsDiffer", testOperationsDiffer},
	} {
		for _, world := range Worlds {
			t.Run(fmt.Sprintf("%s/W=%d", c.name, world), func(t *testing.T) {
				c.test(t, open(t, world))
			})
		}
	}
}

// Each calls f for every rank at once, and fails the test with the first error.
func Each(t testing.TB, groups []collective.Group,
	f func(ctx context.Context, g collective.Group) error) {
	t.Helper()
	if err := Together(groups, f); err != nil {
		t.Fatal(err)
	}
}

// Together calls f for every rank at once and answers the first error.
func Together(groups []collective.Group,
	f func(ctx context.Context, g collective.Group) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all errgroup.Group
	for _, g := range groups {
		all.Go(func() error {
			if err := f(ctx, g); err != nil {
				return fmt.Errorf("rank %d: %w", g.Rank(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

// fill writes a pattern that depends on every argument, -0 and NaN payloads included: the group
// must move bits, not numbers.
func fill(v []float32, from, to, op int) []float32 {
	x := uint32(from*7919+to*104729+op*1299709) | 1
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = math.Float32frombits(x)
	}
	return v
}

func sameBits(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(want))
	}
	if bytes.Equal(memory(got), memory(want)) { // fast also under the race detector
		return nil
	}
	for i := range got {
		if g, w := math.Float32bits(got[i]), math.Float32bits(want[i]); g != w {
			return fmt.Errorf("element %d of %d is %08x, want %08x", i, len(got), g, w)
		}
	}
	return nil
}

func memory(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// everywhere is the to of fill for data that goes to all ranks.
const everywhere = -1

// layouts are counts by rank: none, one, odd, uneven with zeros, several MiB.
func layouts(world int) [][]int {
	even := func(n int) []int { return slices.Repeat([]int{n}, world) }
	uneven, first, last := make([]int, world), make([]int, world), make([]int, world)
	for r := range uneven {
		uneven[r] = (r * 1237) % 5000
	}
	first[0], last[world-1] = 70001, 300
	return [][]int{even(0), even(1), even(17), uneven, first, last, even(16384),
		even((1<<20)/world + 3)}
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// gathered is what AllGather must deliver when rank r sends fill(r, everywhere, op).
func gathered(counts []int, op int) []float32 {
	var out []float32
	for r, n := range counts {
		out = append(out, fill(make([]float32, n), r, everywhere, op)...)
	}
	return out
}

func testAllGather(t *testing.T, groups []collective.Group) {
	for i, counts := range layouts(len(groups)) {
		want := gathered(counts, i)
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			src := fill(make([]float32, counts[g.Rank()]), int(g.Rank()), everywhere, i)
			dst := make([]float32, sum(counts))
			if err := g.AllGather(dst, counts, src).Wait(ctx); err != nil {
				return err
			}
			return sameBits(dst, want)
		})
	}
}

func testAllGatherInPlace(t *testing.T, groups []collective.Group) {
	for i, counts := range layouts(len(groups)) {
		want := gathered(counts, i)
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			dst := make([]float32, sum(counts))
			at := sum(counts[:g.Rank()])
			src := fill(dst[at:at+counts[g.Rank()]], int(g.Rank()), everywhere, i)
			if err := g.AllGather(dst, counts, src).Wait(ctx); err != nil {
				return err
			}
			return sameBits(dst, want)
		})
	}
}

// pairSize is the number of elements from one rank to another: any, also 0.
func pairSize(from, to, op int) int {
	return []int{0, 1, 333, 9*collective.PieceElements + 17}[(from*3+to*5+op)%4]
}

func testAllToAll(t *testing.T, groups []collective.Group) {
	for op := range 5 {
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			recv, send := pairs(g, op)
			if err := g.AllToAll(recv, send).Wait(ctx); err != nil {
				return err
			}
			return checkPairs(g, recv, op)
		})
	}
}

func pairs(g collective.Group, op int) (recv, send [][]float32) {
	me := int(g.Rank())
	for r := range g.Size() {
		recv = append(recv, make([]float32, pairSize(r, me, op)))
		send = append(send, fill(make([]float32, pairSize(me, r, op)), me, r, op))
	}
	return recv, send
}

func checkPairs(g collective.Group, recv [][]float32, op int) error {
	me := int(g.Rank())
	for r, got := range recv {
		want := fill(make([]float32, pairSize(r, me, op)), r, me, op)
		if err := sameBits(got, want); err != nil {
			return fmt.Errorf("operation %d from rank %d: %w", op, r, err)
		}
	}
	return nil
}

// testManyInFlight posts everything, then waits in the opposite order.
func testManyInFlight(t *testing.T, groups []collective.Group) {
	const ops = 12
	Each(t, groups, func(ctx context.Context, g collective.Group) error {
		counts := slices.Repeat([]int{5000}, g.Size())
		handles := make([]collective.Handle, ops)
		checks := make([]func() error, ops)
		for op := range ops {
			if op%3 == 0 {
				dst := make([]float32, sum(counts))
				src := fill(make([]float32, counts[g.Rank()]), int(g.Rank()), everywhere, op)
				handles[op] = g.AllGather(dst, counts, src)
				checks[op] = func() error { return sameBits(dst, gathered(counts, op)) }
				continue
			}
			recv, send := pairs(g, op)
			handles[op] = g.AllToAll(recv, send)
			checks[op] = func() error { return checkPairs(g, recv, op) }
		}
		if err := g.Barrier(ctx); err != nil {
			return err
		}
		for op := ops - 1; op >= 0; op-- {
			if err := handles[op].Wait(ctx); err != nil {
				return err
			}
			if err := handles[op].Wait(ctx); err != nil {
				return fmt.Errorf("second wait: %w", err)
			}
			if err := checks[op](); err != nil {
				return err
			}
		}
		return nil
	})
}

func testAllGatherBytes(t *testing.T, groups []collective.Group) {
	vector := func(rank, op int) string {
		return strings.Repeat(fmt.Sprint(rank, "."), rank*op*op*999)
	}
	for op := range 5 {
		Each(t, groups, func(ctx context.Context, g collective.Group) error {
			mine := []byte(vector(int(g.Rank()), op))
			all, err := g.AllGatherBytes(ctx, mine)
			if err != nil {
				return err
			}
			clear(mine)
			if len(all) != g.Size() {
				return fmt.Errorf("%d vectors for %d ranks", len(all), g.Size())
			}
			for r, got := range all {
				if want := vector(r, op); string(got) != want {
					return fmt.Errorf("operation %d: rank %d's vector differs (%d bytes, want %d)",
						op, r, len(got), len(want))
				}
			}
			return nil
		})
	}
}

// isAborted checks an error after the group's death.
func isAborted(err error) error {
	if !errors.Is(err, collective.ErrAborted) {
		return fmt.Errorf("error %v, want ErrAborted in its chain", err)
	}
	return nil
}
