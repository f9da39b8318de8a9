package tree

import (
	"math"
	"math/big"
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
			sum := NewSum(leaves, 1, add)
			for rank := range world {
				own := Leaves(rank, world, leaves)
				worst, at := 0, own.Lo
				for under := own.Lo; under < own.Hi; under++ {
					if n := 1 + cover(0, leaves, own.Lo, under); n > worst {
						worst, at = n, under
					}
				}
				for leaf := own.Lo; leaf <= at; leaf++ {
					for i := range 2 {
						if leaf < at || i == 0 {
							if err := sum.Put(leaf, i, 2, []float32{1}); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
			}
			if want := Buffers(leaves, world); sum.live != want || sum.Peak() != want {
				t.Fatalf("V %d, W %d: %d live, %d at most, Buffers says %d",
					leaves, world, sum.live, sum.Peak(), want)
			}
		}
	}
	if got := Buffers(16, 1); got != 5 {
		t.Errorf("one rank, 16 leaves: %d buffers, a binary counter needs 5", got)
	}
}
