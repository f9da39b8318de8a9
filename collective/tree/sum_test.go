package tree

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// add is the kernel's Add in plain Go: one rounding an element.
func add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// direct evaluates the definition: leaves left to right, then the tree, by recursion.
func direct(partials [][]float32, leaves int) []float32 {
	var node func(lo, hi int) []float32
	node = func(lo, hi int) []float32 {
		if hi-lo == 1 {
			r := MicroBatches(lo, leaves, len(partials))
			sum := slices.Clone(partials[r.Lo])
			for m := r.Lo + 1; m < r.Hi; m++ {
				add(sum, sum, partials[m])
			}
			return sum
		}
		mid := lo + int(math.Ceil(float64(hi-lo)/2))
		l, r := node(lo, mid), node(mid, hi)
		add(l, l, r)
		return l
	}
	return node(0, leaves)
}

func bits(v []float32) []uint32 {
	out := make([]uint32, len(v))
	for i, f := range v {
		out[i] = math.Float32bits(f)
	}
	return out
}

// values draws numbers of very different sizes, so that another order gives other bits.
func values(t *rapid.T, n int, label string) []float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), 1e30, -1e30, 1e-30,
		float32(math.Inf(1)), math.SmallestNonzeroFloat32}
	return rapid.SliceOfN(rapid.OneOf(
		rapid.Float32Range(-1e4, 1e4), rapid.Float32Range(-1, 1), rapid.SampledFrom(special),
	), n, n).Draw(t, label)
}

// deliver feeds sum from world ranks that progress at drawn speeds.
func deliver(t *rapid.T, sum *Sum, partials [][]float32, leaves, world int) {
	type place struct{ leaf, index, count, micro int }
	queues := make([][]place, world)
	for rank := range world {
		own := Leaves(rank, world, leaves)
		for v := own.Lo; v < own.Hi; v++ {
			r := MicroBatches(v, leaves, len(partials))
			for i := range r.Len() {
				queues[rank] = append(queues[rank], place{v, i, r.Len(), r.Lo + i})
			}
		}
	}
	scratch := make([]float32, sum.size)
	for left := len(partials); left > 0; left-- {
		var ready []int
		for k, q := range queues {
			if len(q) > 0 {
				ready = append(ready, k)
			}
		}
		k := rapid.SampledFrom(ready).Draw(t, "rank")
		p := queues[k][0]
		queues[k] = queues[k][1:]
		if sum.Done() || sum.Result() != nil {
			t.Fatalf("done with %d partials to come", left)
		}
		copy(scratch, partials[p.micro])
		if err := sum.Put(p.leaf, p.index, p.count, scratch); err != nil {
			t.Fatal(err)
		}
		for i := range scratch { // Put must not have kept it
			scratch[i] = float32(math.NaN())
		}
	}
}

func TestI3_SumIsTheSameBitsForEveryWorldAndArrivalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.IntRange(1, 17).Draw(t, "leaves")
		micro := leaves + rapid.IntRange(0, 2*leaves).Draw(t, "more")
		size := rapid.IntRange(0, 5).Draw(t, "size")
		partials := make([][]float32, micro)
		for m := range partials {
			partials[m] = values(t, size, "partial")
		}
		want := bits(direct(partials, leaves))
		sum := NewSum(leaves, size, add)
		for range 3 { // the second time from recycled buffers
			world := rapid.IntRange(1, leaves).Draw(t, "world")
			deliver(t, sum, partials, leaves, world)
			if got := bits(sum.Result()); !slices.Equal(got, want) {
				t.Fatalf("world %d: got %x, want %x", world, got, want)
			}
			if sum.live != 1 {
				t.Fatalf("%d buffers live beside the result", sum.live-1)
			}
			if limit := Buffers(leaves, world); sum.Peak() > limit {
				t.Fatalf("world %d: %d buffers, Buffers says %d", world, sum.Peak(), limit)
			}
			sum.Reset()
			sum.peak = 0
		}
	})
}

func TestSumDependsOnTheTree(t *testing.T) {
	// 2^24 + 1 rounds back to 2^24: a running sum loses both ones, the tree keeps them.
	sum := NewSum(4, 1, add)
	for leaf, v := range []float32{1 << 24, 0, 1, 1} {
		if err := sum.Put(leaf, 0, 1, []float32{v}); err != nil {
			t.Fatal(err)
		}
	}
	if got := sum.Result()[0]; got != 1<<24+2 {
		t.Fatalf("got %v, want %v", got, 1<<24+2)
	}
}

func TestSumCopiesTheFirstPartial(t *testing.T) {
	minus0 := float32(math.Copysign(0, -1))
	sum := NewSum(1, 1, add)
	for i := range 2 {
		if err := sum.Put(0, i, 2, []float32{minus0}); err != nil {
			t.Fatal(err)
		}
	}
	if !math.Signbit(float64(sum.Result()[0])) {
		t.Fatal("-0 + -0 became +0: the first partial was added to zero")
	}
}

func TestSumRefusesWhatIsOutOfPlace(t *testing.T) {
	sum := NewSum(3, 2, add)
	ok := func(leaf, index, count int) {
		t.Helper()
		if err := sum.Put(leaf, index, count, []float32{1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	bad := func(leaf, index, count int) {
		t.Helper()
		if err := sum.Put(leaf, index, count, []float32{1, 2}); !errors.Is(err, ErrOrder) {
			t.Fatalf("leaf %d, %d of %d: error %v", leaf, index, count, err)
		}
	}
	bad(-1, 0, 1)
	bad(3, 0, 1)
	bad(0, 1, 2)
	bad(0, 0, 0)
	ok(0, 0, 2)
	bad(0, 0, 2) // again
	bad(0, 1, 3) // another count
	ok(0, 1, 2)
	bad(0, 2, 2) // one too many
	ok(2, 0, 1)
	if err := sum.Put(1, 0, 1, []float32{1}); err == nil || errors.Is(err, ErrOrder) {
		t.Fatalf("short partial: error %v", err)
	}
	if leaf, ok := sum.Missing(); !ok || leaf != 1 || sum.Result() != nil {
		t.Fatalf("missing leaf %d (%t), result %v", leaf, ok, sum.Result())
	}
	ok(1, 0, 1)
	if _, ok := sum.Missing(); ok || !slices.Equal(sum.Result(), []float32{4, 8}) {
		t.Fatalf("result %v", sum.Result())
	}
	bad(1, 0, 1)
}

func BenchmarkSum(b *testing.B) {
	const leaves, size = 16, 1 << 20
	partial := make([]float32, size)
	sum := NewSum(leaves, size, add)
	b.SetBytes(leaves * size * 4)
	for b.Loop() {
		for leaf := range leaves {
			if err := sum.Put(leaf, 0, 1, partial); err != nil {
				b.Fatal(err)
			}
		}
		sum.Reset()
	}
}
