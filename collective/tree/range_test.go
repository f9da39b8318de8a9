package tree

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRangesCoverEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1000).Draw(t, "n")
		w := rapid.IntRange(1, 64).Draw(t, "w")
		for name, f := range map[string]func(k, w, n int) Range{
			"MicroBatches": MicroBatches, "Leaves": Leaves, "Shard": Shard,
		} {
			at := 0
			for k := range w {
				r := f(k, w, n)
				if r.Lo != at || r.Lo != k*n/w || r.Len() < n/w || r.Len() > n/w+1 {
					t.Fatalf("%s(%d, %d, %d) = %v after %d", name, k, w, n, r, at)
				}
				at = r.Hi
			}
			if at != n {
				t.Fatalf("%s covers %d of %d", name, at, n)
			}
		}
	})
}

func TestScaleDoesNotOverflow(t *testing.T) {
	const n, w = math.MaxInt, 1000
	for k := range w + 1 {
		want := new(big.Int).Mul(big.NewInt(n), big.NewInt(int64(k)))
		want.Div(want, big.NewInt(w))
		if got := scale(k, n, w); int64(got) != want.Int64() {
			t.Fatalf("scale(%d) = %d, want %d", k, got, want)
		}
	}
}

// TestBuffersIsExact drives every rank to its own worst moment and counts.
func TestBuffersIsExact(t *testing.T) {
	for leaves := 1; leaves <= 33; leaves++ {
		for world := 1; world <= leaves; world++ {
			all := NewSum(leaves, NewFloats(1, PlainAdd))
			for rank := range world {
				own := Leaves(rank, world, leaves)
				alone := NewSum(leaves, NewFloats(1, PlainAdd))
				for _, sum := range []*Sum[[]float32]{all, alone} {
					driveToWorst(t, sum, leaves, own)
				}
				if want := OwnBuffers(leaves, own); alone.live != want || alone.Peak() != want {
					t.Fatalf("V %d, leaves %v: %d live, %d at most, OwnBuffers says %d",
						leaves, own, alone.live, alone.Peak(), want)
				}
			}
			if want := Buffers(leaves, world); all.live != want || all.Peak() != want {
				t.Fatalf("V %d, W %d: %d live, %d at most, Buffers says %d",
					leaves, world, all.live, all.Peak(), want)
			}
		}
	}
	if got := Buffers(16, 1); got != 5 {
		t.Errorf("one rank, 16 leaves: %d buffers, a binary counter needs 5", got)
	}
}

// driveToWorst puts own's leaves, of two partials each, up to the first partial of the leaf under
// which most vectors are held.
func driveToWorst(t *testing.T, sum *Sum[[]float32], leaves int, own Range) {
	worst, at := 0, own.Lo
	for under := own.Lo; under < own.Hi; under++ {
		if n := 1 + len(Subtrees(leaves, Range{own.Lo, under})); n > worst {
			worst, at = n, under
		}
	}
	for leaf := own.Lo; leaf <= at; leaf++ {
		for i := range 2 {
			if leaf < at || i == 0 {
				if err := sum.Put(leaf, i, 2, []float32{1}, Lent); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestSubtreesAreTheFewestThatCover(t *testing.T) {
	for _, c := range []struct {
		leaves int
		own    Range
		want   []Range
	}{
		{8, Range{0, 8}, []Range{{0, 8}}},
		{8, Range{0, 4}, []Range{{0, 4}}},
		{8, Range{2, 5}, []Range{{2, 4}, {4, 5}}},
		{8, Range{1, 7}, []Range{{1, 2}, {2, 4}, {4, 6}, {6, 7}}},
		{5, Range{0, 2}, []Range{{0, 2}}}, // the tree of doc.go
		{5, Range{1, 5}, []Range{{1, 2}, {2, 3}, {3, 5}}},
		{5, Range{3, 3}, nil},
		{1, Range{0, 1}, []Range{{0, 1}}},
	} {
		if got := Subtrees(c.leaves, c.own); !slices.Equal(got, c.want) {
			t.Errorf("%d leaves, own %v: %v, want %v", c.leaves, c.own, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.IntRange(1, 100).Draw(t, "leaves")
		lo := rapid.IntRange(0, leaves).Draw(t, "lo")
		own := Range{lo, rapid.IntRange(lo, leaves).Draw(t, "hi")}
		sum, at := NewSum(leaves, NewFloats(0, PlainAdd)), own.Lo
		for _, r := range Subtrees(leaves, own) {
			if _, ok := sum.find(r); !ok || r.Lo != at {
				t.Fatalf("%v of %d leaves: %v after %d", own, leaves, r, at)
			}
			at = r.Hi
		}
		if at != own.Hi {
			t.Fatalf("%v of %d leaves is covered up to %d", own, leaves, at)
		}
	})
}
