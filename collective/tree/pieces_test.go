package tree

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// pools is the vectors of NewPieces, and what it has made, by length.
func pools() (map[int]*Floats, func(int) Vectors[[]float32]) {
	made, of := map[int]*Floats{}, FloatsBySize(PlainAdd)
	return made, func(n int) Vectors[[]float32] {
		v := of(n)
		made[n] = v.(*Floats)
		return v
	}
}

// TestI3_PiecesAreTheSumAndStayInTheOwnVector: one rank of a world puts its partials whole, the
// first as its own; the others' come piece by piece, at speeds of their own.
func TestI3_PiecesAreTheSumAndStayInTheOwnVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.IntRange(1, 17).Draw(t, "leaves")
		micro := leaves + rapid.IntRange(0, leaves).Draw(t, "more")
		size := rapid.IntRange(0, 7).Draw(t, "size")
		each := rapid.IntRange(1, 4).Draw(t, "each")
		partials := make([][]float32, micro)
		for m := range partials {
			partials[m] = values(t, size, "partial")
		}
		want := bits(direct(partials, leaves))
		made, of := pools()
		sum := NewPieces(leaves, size, each, of)
		for range 2 { // the second time from recycled buffers
			world := rapid.IntRange(1, leaves).Draw(t, "world")
			me := rapid.IntRange(0, world-1).Draw(t, "me")
			home := make([]float32, size)
			deliverPieces(t, sum, partials, leaves, world, me, each, home)
			if leaf, missing := sum.Missing(); missing || !slices.Equal(bits(home), want) {
				t.Fatalf("world %d, rank %d: got %x, want %x, missing %t (leaf %d)",
					world, me, bits(home), want, missing, leaf)
			}
			sum.Reset()
			for _, p := range made {
				for _, v := range p.free {
					if inside(v, home) {
						t.Fatal("the own vector went to the free ones")
					}
				}
			}
		}
	})
}

func inside(v, of []float32) bool {
	if len(v) == 0 || len(of) == 0 {
		return false
	}
	at, lo := uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&of[0]))
	return at >= lo && at < lo+uintptr(4*len(of))
}

// deliverPieces puts the partials of world ranks, those of me whole: the first copied to home,
// which is kept.
func deliverPieces(t *rapid.T, sum *Pieces, partials [][]float32, leaves, world, me, each int,
	home []float32,
) {
	type part struct {
		place
		at int
	}
	size := len(home)
	queues := make([][]part, world) // of one rank, in order
	for rank := range world {
		for _, p := range placesOf(rank, world, leaves, len(partials)) {
			for at := 0; at < size && rank != me || at == 0; at += each {
				queues[rank] = append(queues[rank], part{p, at})
			}
		}
	}
	copy(home, partials[queues[me][0].micro])
	for first := true; ; {
		var ready []int
		for k, q := range queues {
			if len(q) > 0 {
				ready = append(ready, k)
			}
		}
		if len(ready) == 0 {
			return
		}
		k := rapid.SampledFrom(ready).Draw(t, "rank")
		p := queues[k][0]
		queues[k] = queues[k][1:]
		of, v := Partial{Leaf: p.leaf, Index: p.index, Count: p.count}, partials[p.micro]
		var err error
		switch {
		case k == me && first:
			first = false
			err = sum.Put(of, home, Kept)
		case k == me:
			err = sum.Put(of, slices.Clone(v), Lent)
		case size > 0:
			lent := slices.Clone(v[p.at:min(p.at+each, size)])
			err = sum.PutPiece(of, p.at, lent, Lent)
			for i := range lent {
				lent[i] = float32(math.NaN())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPiecesAreSafeForManyGoroutines: as the receivers of a group put them.
func TestPiecesAreSafeForManyGoroutines(t *testing.T) {
	const leaves, size, each = 7, 1000, 64
	of := FloatsBySize(PlainAdd)
	sum := NewPieces(leaves, size, each, of)
	partials := make([][]float32, leaves)
	for leaf := range partials {
		partials[leaf] = make([]float32, size)
		for i := range partials[leaf] {
			partials[leaf][i] = float32(i*leaf) / 3
		}
	}
	want := bits(direct(partials, leaves))
	for range 20 {
		home := slices.Clone(partials[3])
		if err := sum.Put(Partial{Leaf: 3, Count: 1}, home, Kept); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for leaf, v := range partials {
			if leaf == 3 {
				continue
			}
			all.Go(func() {
				for at := 0; at < size; at += each {
					part := slices.Clone(v[at:min(at+each, size)])
					if err := sum.PutPiece(Partial{Leaf: leaf, Count: 1}, at, part, Lent); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if !slices.Equal(bits(home), want) {
			t.Fatal("the sum has other bits")
		}
		sum.Reset()
	}
}

func TestPiecesRefuseWhatIsNoPiece(t *testing.T) {
	of := FloatsBySize(PlainAdd)
	sum := NewPieces(2, 10, 4, of)
	first := Partial{Leaf: 0, Count: 1}
	for _, x := range []struct{ at, n int }{{-4, 4}, {1, 4}, {0, 3}, {0, 5}, {8, 4}, {12, 0}, {8, 0}} {
		if err := sum.PutPiece(first, x.at, make([]float32, x.n), Lent); !errors.Is(err, ErrOrder) {
			t.Errorf("%d elements at %d: error %v", x.n, x.at, err)
		}
	}
	if err := sum.Put(first, make([]float32, 9), Lent); !errors.Is(err, ErrOrder) {
		t.Errorf("9 of 10 elements: error %v", err)
	}
	if err := sum.PutPiece(first, 8, make([]float32, 2), Lent); err != nil {
		t.Fatal(err)
	}
	if err := sum.PutPiece(Partial{Subtree: Range{0, 2}}, 8, make([]float32, 2), Lent); !errors.Is(
		err, ErrOrder) {
		t.Errorf("a subtree that has come in part: error %v", err)
	}
	if leaf, missing := sum.Missing(); !missing || leaf != 0 {
		t.Errorf("leaf %d is missing (%t), want 0", leaf, missing)
	}
}

// TestSumIsInTheLeftmostKept: whatever comes first, and the other one stays the caller's.
func TestSumIsInTheLeftmostKept(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		pool := NewFloats(1, PlainAdd)
		sum, left, right := NewSum(4, pool), []float32{2}, []float32{4}
		put := []func() error{
			func() error { return sum.Put(0, 0, 1, []float32{1}, Lent) },
			func() error { return sum.Put(1, 0, 1, left, Kept) },
			func() error { return sum.PutSubtree(Range{2, 4}, right, Kept) },
		}
		for _, i := range order {
			if err := put[i](); err != nil {
				t.Fatal(err)
			}
		}
		if v, ok := sum.Result(); !ok || &v[0] != &left[0] || left[0] != 7 {
			t.Fatalf("order %v: the sum is %v (%t), the leftmost %v", order, v, ok, left)
		}
		sum.Reset()
		for _, v := range pool.free {
			if &v[0] == &left[0] || &v[0] == &right[0] {
				t.Fatalf("order %v: a kept vector went to the free ones", order)
			}
		}
	}
}
