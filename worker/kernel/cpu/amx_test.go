package cpu

import (
	"slices"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
)

// emulated opens the amx class over tiles in plain C: the same source as on tiles of hardware.
func emulated(t *testing.T, threads int) kernel.Backend {
	t.Helper()
	be, err := start("amx-emulated", threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(be.Close)
	return be
}

// tileCase is a product of halves with every option, at sizes around the edges of a tile.
func tileCase(c *call) {
	sizes := []int{1, 15, 16, 17, 31, 32, 33, 64, 65, 130, 200}
	pick := func() int { return sizes[c.rng.IntN(len(sizes))] }
	m, n, k := pick(), pick(), pick()
	c.half = true
	a, b := c.num(m*k), c.num(k*n)
	o := kernel.MatmulOptions{TransA: c.rng.IntN(2) == 0, TransB: c.rng.IntN(2) == 0,
		Accumulate: c.rng.IntN(3) == 0}
	if o.Accumulate {
		c.op = kernel.Matmul(c.also("c", c.in(m*n)), a, b, m, n, k, o)
		return
	}
	if c.rng.IntN(2) == 0 {
		o.Add = c.mixed(m * n)
	}
	if c.rng.IntN(2) == 0 {
		o.Bias = c.mixed(n)
	}
	c.op = kernel.Matmul(c.fresh("c", m*n), a, b, m, n, k, o)
}

func TestTilesMatchTheTwin(t *testing.T) {
	be := emulated(t, 2)
	for seed := range uint64(60) {
		matches(t, be, seed, tileCase, 5e-6)
	}
}

// TestTilesRoundOnce stores halves: the sums of tiles and of the twin may differ in their last bit,
// and then round to neighbours.
func TestTilesRoundOnce(t *testing.T) {
	be := emulated(t, 2)
	for seed := range uint64(20) {
		matches(t, be, seed, func(c *call) {
			c.half = true
			const m, n, k = 40, 50, 70
			c.op = kernel.Matmul(c.freshNum("c", m*n), c.num(m*k), c.num(k*n), m, n, k,
				kernel.MatmulOptions{Add: c.num(m * n)})
		}, 1.0/256)
	}
}

func TestI3_TilesSameBitsForAnyThreadCount(t *testing.T) {
	one, many := emulated(t, 1), emulated(t, 3)
	for seed := range uint64(20) {
		_, want := do(t, one, seed, tileCase)
		_, got := do(t, many, seed, tileCase)
		for j := range want {
			if !slices.EqualFunc(want[j], got[j], sameBits) {
				t.Fatalf("seed %d: other bits with 3 threads than with one", seed)
			}
		}
	}
}

// TestTilesAreInUse tells tiles from floats by what only tiles do: a subnormal operand is zero.
func TestTilesAreInUse(t *testing.T) {
	be := emulated(t, 1)
	c := &call{be: be, rng: newRand(1), half: true}
	a, b, y := c.num(1), c.num(1), c.in(1)
	be.HostHalf(a)[0], be.HostHalf(b)[0] = 1, kernel.ToBF16(0x1p100)
	op := kernel.Matmul(y, a, b, 1, 1, 1, kernel.MatmulOptions{})
	if err := be.Run([]kernel.Op{op}); err != nil {
		t.Fatal(err)
	}
	if got := be.Host(y)[0]; got != 0 {
		t.Errorf("subnormal times 2^100 is %g on tiles, want 0", got)
	}
	if got := fmaFlops("amx-emulated", 3); got != 4*2*16*16*32*3 {
		t.Errorf("the probe of tiles reports %g operations", got)
	}
	if _, err := New(Options{ISA: "amx-emulated"}); err == nil {
		t.Error("a run may choose the emulation")
	}
}
