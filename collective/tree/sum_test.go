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

type place struct{ leaf, index, count, micro int }

// placesOf lists the partials of a rank in order.
func placesOf(rank, world, leaves, micro int) (out []place) {
	own := Leaves(rank, world, leaves)
	for v := own.Lo; v < own.Hi; v++ {
		r := MicroBatches(v, leaves, micro)
		for i := range r.Len() {
			out = append(out, place{v, i, r.Len(), r.Lo + i})
		}
	}
	return out
}

// put hands over a copy of v: given, kept, or lent and spoilt afterwards.
func put(t *rapid.T, size int, v []float32, f func(v []float32, claim Claim) error) {
	claim := rapid.SampledFrom([]Claim{Lent, Given, Kept}).Draw(t, "claim")
	lent := make([]float32, size)
	copy(lent, v)
	if err := f(lent, claim); err != nil {
		t.Fatal(err)
	}
	if claim == Lent { // it must not have been kept
		for i := range lent {
			lent[i] = float32(math.NaN())
		}
	}
}

// deliver feeds sum from world ranks that progress at drawn speeds.
func deliver(t *rapid.T, sum *Sum[[]float32], partials [][]float32, leaves, world int) {
	queues := make([][]place, world)
	for rank := range world {
		queues[rank] = placesOf(rank, world, leaves, len(partials))
	}
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
		if _, ok := sum.Result(); ok || sum.Done() {
			t.Fatalf("done with %d partials to come", left)
		}
		put(t, len(partials[0]), partials[p.micro], func(v []float32, claim Claim) error {
			return sum.Put(p.leaf, p.index, p.count, v, claim)
		})
	}
}

// deliverSubtrees lets each rank add up its own leaves, and feeds sum with what that gives, in a
// drawn order.
func deliverSubtrees(t *rapid.T, sum *Sum[[]float32], partials [][]float32, leaves, world int) {
	type piece struct {
		r Range
		v []float32
	}
	var pieces []piece
	for rank := range world {
		alone := NewSum(leaves, NewFloats(len(partials[0]), PlainAdd))
		for _, p := range placesOf(rank, world, leaves, len(partials)) {
			put(t, len(partials[0]), partials[p.micro], func(v []float32, claim Claim) error {
				return alone.Put(p.leaf, p.index, p.count, v, claim)
			})
		}
		own := Leaves(rank, world, leaves)
		if limit := OwnBuffers(leaves, own); alone.Peak() > limit {
			t.Fatalf("leaves %v: %d buffers, OwnBuffers says %d", own, alone.Peak(), limit)
		}
		for _, r := range Subtrees(leaves, own) {
			v, ok := alone.Subtree(r)
			if !ok {
				t.Fatalf("leaves %v of %d: no sum of subtree %v", own, leaves, r)
			}
			pieces = append(pieces, piece{r, v})
		}
	}
	for _, p := range rapid.Permutation(pieces).Draw(t, "pieces") {
		put(t, len(partials[0]), p.v, func(v []float32, claim Claim) error {
			return sum.PutSubtree(p.r, v, claim)
		})
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
		sum := NewSum(leaves, NewFloats(size, PlainAdd))
		for range 3 { // the second time from recycled buffers
			world := rapid.IntRange(1, leaves).Draw(t, "world")
			way := rapid.SampledFrom([]func(*rapid.T, *Sum[[]float32], [][]float32, int, int){
				deliver, deliverSubtrees}).Draw(t, "way")
			way(t, sum, partials, leaves, world)
			result, ok := sum.Result()
			if got := bits(result); !ok || !slices.Equal(got, want) {
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
	sum := NewSum(4, NewFloats(1, PlainAdd))
	for leaf, v := range []float32{1 << 24, 0, 1, 1} {
		if err := sum.Put(leaf, 0, 1, []float32{v}, Lent); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := sum.Result(); got[0] != 1<<24+2 {
		t.Fatalf("got %v, want %v", got[0], 1<<24+2)
	}
}

func TestSumCopiesTheFirstPartial(t *testing.T) {
	minus0 := float32(math.Copysign(0, -1))
	sum := NewSum(1, NewFloats(1, PlainAdd))
	for i := range 2 {
		if err := sum.Put(0, i, 2, []float32{minus0}, Lent); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := sum.Result(); !math.Signbit(float64(got[0])) {
		t.Fatal("-0 + -0 became +0: the first partial was added to zero")
	}
}

func TestSumRefusesWhatIsOutOfPlace(t *testing.T) {
	sum := NewSum(3, NewFloats(2, PlainAdd))
	ok := func(leaf, index, count int) {
		t.Helper()
		if err := sum.Put(leaf, index, count, []float32{1, 2}, Lent); err != nil {
			t.Fatal(err)
		}
	}
	bad := func(leaf, index, count int) {
		t.Helper()
		if err := sum.Put(leaf, index, count, []float32{1, 2}, Lent); !errors.Is(err, ErrOrder) {
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
	if leaf, ok := sum.Missing(); !ok || leaf != 1 || sum.Done() {
		t.Fatalf("missing leaf %d (%t), done %t", leaf, ok, sum.Done())
	}
	ok(1, 0, 1)
	result, done := sum.Result()
	if _, ok := sum.Missing(); ok || !done || !slices.Equal(result, []float32{4, 8}) {
		t.Fatalf("result %v", result)
	}
	bad(1, 0, 1)
}

func TestSumRefusesSubtreesOutOfPlace(t *testing.T) {
	sum := NewSum(8, NewFloats(1, PlainAdd))
	put := func(r Range) error { return sum.PutSubtree(r, []float32{1}, Lent) }
	for _, r := range []Range{{1, 3}, {0, 3}, {-1, 1}, {7, 9}, {4, 4}, {6, 2}} {
		if err := put(r); !errors.Is(err, ErrOrder) {
			t.Errorf("%v is no subtree: error %v", r, err)
		}
	}
	for _, r := range []Range{{0, 2}, {3, 4}} {
		if err := put(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := sum.Put(6, 0, 2, []float32{1}, Lent); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Range{{0, 1}, {0, 2}, {0, 4}, {0, 8}, {3, 4}, {6, 7}, {6, 8}, {4, 8}} {
		if err := put(r); !errors.Is(err, ErrOrder) {
			t.Errorf("%v has come in part: error %v", r, err)
		}
	}
	if err := sum.Put(1, 0, 1, []float32{1}, Lent); !errors.Is(err, ErrOrder) {
		t.Errorf("leaf 1 has come with its subtree: error %v", err)
	}
	if leaf, ok := sum.Missing(); !ok || leaf != 2 {
		t.Errorf("missing leaf %d (%t), want 2", leaf, ok)
	}
	if v, ok := sum.Subtree(Range{0, 2}); !ok || v[0] != 1 {
		t.Errorf("subtree [0,2): %v (%t)", v, ok)
	}
	if _, ok := sum.Subtree(Range{2, 4}); ok {
		t.Error("there is a sum of [2,4) without leaf 2")
	}
}

// TestSumRecyclesWhatItWasGiven: after the first step, no vector comes from nowhere.
func TestSumRecyclesWhatItWasGiven(t *testing.T) {
	pool := NewFloats(1, PlainAdd)
	sum := NewSum(8, pool)
	for step := range 3 {
		made := 0
		for leaf := range 8 {
			for i := range 2 {
				if len(pool.free) == 0 {
					made++
				}
				v, err := pool.Take()
				if err != nil {
					t.Fatal(err)
				}
				if err := sum.Put(leaf, i, 2, v, Given); err != nil {
					t.Fatal(err)
				}
			}
		}
		sum.Reset()
		if want := 5; step == 0 && made != want || step > 0 && made != 0 {
			t.Errorf("step %d made %d vectors", step, made)
		}
	}
}

func TestSumOfOtherSizesIsAnError(t *testing.T) {
	for _, sizes := range [][2]int{{1, 2}, {2, 1}, {3, 2}} {
		sum, failed := NewSum(2, NewFloats(2, PlainAdd)), false
		for leaf, n := range sizes {
			if err := sum.Put(leaf, 0, 1, make([]float32, n), Lent); err != nil {
				failed = true
				break
			}
		}
		if !failed {
			t.Errorf("vectors of %v elements were added", sizes)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	const leaves, size = 16, 1 << 20
	partial := make([]float32, size)
	sum := NewSum(leaves, NewFloats(size, PlainAdd))
	b.SetBytes(leaves * size * 4)
	for b.Loop() {
		for leaf := range leaves {
			if err := sum.Put(leaf, 0, 1, partial, Lent); err != nil {
				b.Fatal(err)
			}
		}
		sum.Reset()
	}
}
