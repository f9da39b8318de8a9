package kernels_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/kernels/twin"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// TestI3_SumPartsIsTheTree: one launch gives the bits of the tree that owners add up on the CPU,
// for every number of leaves, with one part a leaf and with several.
func TestI3_SumPartsIsTheTree(t *testing.T) {
	b := newBench(t)
	for _, leaves := range []int{1, 2, 3, 5, 7, 8, 11, 16} {
		for _, micro := range []int{leaves, 2*leaves - leaves/3} {
			n, offset := 300+leaves, leaves%2
			sum := tree.NewSum(leaves, tree.NewFloats(n, tree.PlainAdd))
			var parts []cuda.Addr
			var order kernels.Order
			var grow func(lo, hi int)
			grow = func(lo, hi int) {
				if hi-lo > 1 {
					mid := lo + (hi-lo+1)/2
					grow(lo, mid)
					grow(mid, hi)
					order.Add()
					return
				}
				own := tree.MicroBatches(lo, leaves, micro)
				for i := range own.Len() {
					v := make([]float32, n)
					for k := range v {
						v[k] = float32(b.rng.NormFloat64() * math.Exp2(float64(b.rng.IntN(20))))
					}
					must(t, 0, sum.Put(lo, i, own.Len(), v, tree.Lent))
					parts = append(parts, b.floatVector(v, offset).at)
					order.Push()
					if i > 0 {
						order.Add()
					}
				}
			}
			grow(0, leaves)
			y := b.vector(n, 4, offset)
			b.run(func(l *cuda.List) {
				must(t, 0, b.set.SumParts(l, cuda.Compute, y.at, parts, order, int64(n)))
			})
			want, ok := sum.Result()
			if !ok {
				t.Fatal("the tree is not complete")
			}
			equal(t, valuesOf[uint32](b.get(y)), bitsOf(want), "%d leaves of %d parts", leaves, micro)
		}
	}
}

func TestTreeIsThatOfCollective(t *testing.T) {
	b := newBench(t)
	const leaves, n = 13, 40
	sum := tree.NewSum(leaves, tree.NewFloats(n, tree.PlainAdd))
	var parts []cuda.Addr
	for v := range leaves {
		x := b.floats(n)
		for i := range x {
			if x[i] != x[i] {
				x[i] = 1 // Go's own NaNs are not x86's
			}
		}
		must(t, 0, sum.Put(v, 0, 1, x, tree.Lent))
		parts = append(parts, b.floatVector(x, 0).at)
	}
	y := b.vector(n, 4, 0)
	order := kernels.Tree(0, leaves, func(lo, hi int) int { return lo + (hi-lo+1)/2 })
	b.run(func(l *cuda.List) {
		must(t, 0, b.set.SumParts(l, cuda.Compute, y.at, parts, order, n))
	})
	want, _ := sum.Result()
	for i, bits := range valuesOf[uint32](b.get(y)) {
		if w := want[i]; bits != math.Float32bits(w) && w == w {
			t.Fatalf("element %d is %x, want %x", i, bits, math.Float32bits(w))
		}
	}
}

func TestOrdersThatCannotBe(t *testing.T) {
	b := newBench(t)
	orders := map[string]kernels.Order{"none": {}, "too many": kernels.Left(33),
		"far too many": kernels.Left(1000),
		"too deep":     kernels.Tree(0, 9, func(lo, hi int) int { return lo + 1 })}
	var o kernels.Order
	o.Push()
	o.Push()
	orders["two sums"] = o
	o.Add()
	o.Add()
	orders["underflow"] = o
	var early kernels.Order
	early.Push()
	early.Add()
	early.Push()
	orders["added too early"] = early
	l := b.dev.NewList()
	defer l.Free()
	for name, o := range orders {
		parts := make([]cuda.Addr, o.Parts())
		if err := b.set.SumParts(l, cuda.Compute, 512, parts, o, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	two := make([]cuda.Addr, 2)
	if err := b.set.SumParts(l, cuda.Compute, 512, two, kernels.Left(3), 1); err == nil {
		t.Error("2 parts in an order of 3: no error")
	}
	for _, c := range [][2]int64{{0, 1}, {1, 0}, {-1, 4}, {1 << 40, 1}} {
		if err := b.set.SumSquares(l, cuda.Compute, 512, 512, c[0], c[1]); err == nil {
			t.Errorf("squares of %d in chunks of %d: no error", c[0], c[1])
		}
	}
	if l.Len() != 0 {
		t.Errorf("%d commands were appended all the same", l.Len())
	}
}

// TestRandomOrders: random orders agree with adding pair by pair.
func TestRandomOrders(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		defer b.freeAll()
		parts := rapid.IntRange(1, kernels.MaxParts).Draw(rt, "parts")
		vectors := make([][]float32, parts)
		at := make([]cuda.Addr, parts)
		const n = 6
		for i := range vectors {
			vectors[i] = b.floats(n)
			at[i] = b.floatVector(vectors[i], 0).at
		}
		var order kernels.Order
		var stack [][]uint32
		add := func() {
			l, r := stack[len(stack)-2], stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			order.Add()
			for i := range l {
				l[i] = twin.Add(math.Float32frombits(l[i]), math.Float32frombits(r[i]))
			}
		}
		for _, v := range vectors {
			for len(stack) > 1 && (len(stack) == kernels.MaxDepth || rapid.Bool().Draw(rt, "add")) {
				add()
			}
			stack = append(stack, slices.Clone(bitsOf(v)))
			order.Push()
		}
		for len(stack) > 1 {
			add()
		}
		y := b.vector(n, 4, 0)
		b.run(func(l *cuda.List) {
			must(t, 0, b.set.SumParts(l, cuda.Compute, y.at, at, order, n))
		})
		equal(t, valuesOf[uint32](b.get(y)), stack[0], "%d parts", parts)
	})
}

// squareCases are lengths, chunks, and elements off alignment.
var squareCases = []struct{ n, chunk, offset int }{{16384, 16384, 0}, {40000, 16384, 1},
	{1, 16384, 0}, {15, 4, 0}, {511, 512, 3}, {513, 512, 0}, {17000, 33000, 0}, {3000, 700, 1}}

func (b *bench) squares(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.rng.NormFloat64() * math.Exp2(float64(b.rng.IntN(30)-15)))
	}
	return v
}

// twins is the sums of squares of the chunks of v.
func twins(v []float32, chunk, lanes int) []float32 {
	var out []float32
	for c := range slices.Chunk(v, chunk) {
		out = append(out, twin.SumSquares(c, lanes))
	}
	return out
}

func TestI3_SumSquaresGivesItsTwinsBits(t *testing.T) {
	b := newBench(t)
	for _, c := range squareCases {
		v := b.squares(c.n)
		want := twins(v, c.chunk, twin.Lanes)
		x, y := b.floatVector(v, c.offset), b.vector(len(want), 4, 0)
		b.run(func(l *cuda.List) {
			must(t, 0, b.set.SumSquares(l, cuda.Compute, y.at, x.at, int64(c.n), int64(c.chunk)))
		})
		equal(t, valuesOf[uint32](b.get(y)), bitsOf(want), "%d in chunks of %d", c.n, c.chunk)
	}
}

// TestI3_TwinIsTheCPUs holds the twin against the CPU's classes that multiply and add at once, each
// with its own number of lanes; so also against those of 16 lanes, where the host has them.
func TestI3_TwinIsTheCPUs(t *testing.T) {
	b := newBench(t)
	tried := 0
	for class, lanes := range map[string]int{"amx": 16, "avx512": 16, "avx2": 8, "neon": 4} {
		if !slices.Contains(cpu.Classes(), class) {
			continue
		}
		be, err := cpu.New(cpu.Options{Threads: 1, ISA: class})
		must(t, be, err)
		b.cpu.Close()
		b.cpu = be
		tried++
		for _, c := range squareCases {
			v := b.squares(c.n)
			want := twins(v, c.chunk, lanes)
			got := b.onCPU(len(want), kernel.F32, [][]float32{v},
				func(y kernel.Tensor, x []kernel.Tensor) kernel.Op {
					return kernel.SumSquares(y, x[0], c.chunk)
				})
			equal(t, bitsOf(b.cpu.Host(got)), bitsOf(want), "%s: %d in chunks of %d", class, c.n,
				c.chunk)
		}
	}
	if tried == 0 {
		t.Skip("this host serves class generic only, which does not fuse")
	}
}
