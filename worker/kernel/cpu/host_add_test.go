package cpu

import (
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/ref"
)

// TestHostAddIsTheOpAdd: the same bits in every class, at any length and offset, in place too,
// where one operand is a NaN included.
func TestHostAddIsTheOpAdd(t *testing.T) {
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)),
		math.Float32frombits(0x7fc01234), math.SmallestNonzeroFloat32, math.MaxFloat32}
	const n = 1000
	for _, isa := range append(Classes(), "ref") {
		be, err := kernel.Backend(ref.New()), error(nil)
		if isa != "ref" {
			be, err = New(Options{Threads: 1, ISA: isa})
		}
		if err != nil {
			t.Fatal(err)
		}
		var x [3]kernel.Tensor
		for i := range x {
			if x[i], err = be.Alloc(n, kernel.F32); err != nil {
				t.Fatal(err)
			}
		}
		a, b, want := be.Host(x[0]), be.Host(x[1]), be.Host(x[2])
		for i := range n {
			a[i], b[i] = float32(i*i)/3, float32(7-i)/7
			if i%5 == 0 {
				a[i] = special[i/5%len(special)]
			}
			if i%7 == 0 && a[i] == a[i] { // of two NaNs, which one survives is the processor's choice
				b[i] = special[i/7%len(special)]
			}
		}
		if err := be.Run([]kernel.Op{kernel.Add(x[2], x[0], x[1])}); err != nil {
			t.Fatal(err)
		}
		for _, cut := range [][2]int{{0, n}, {1, n}, {3, 20}, {5, 5}, {7, 8}, {16, 32}, {0, 47}} {
			lo, hi := cut[0], cut[1]
			fresh, left, right := make([]float32, n), slices.Clone(a), slices.Clone(b)
			be.HostAdd(fresh[lo:hi], a[lo:hi], b[lo:hi])
			be.HostAdd(left[lo:hi], left[lo:hi], b[lo:hi])
			be.HostAdd(right[lo:hi], a[lo:hi], right[lo:hi])
			for i := range n {
				sum := [3]float32{want[i], want[i], want[i]}
				if i < lo || i >= hi {
					sum = [3]float32{0, a[i], b[i]}
				}
				for k, got := range [3]float32{fresh[i], left[i], right[i]} {
					if math.Float32bits(got) != math.Float32bits(sum[k]) {
						t.Fatalf("%s, [%d,%d), way %d: element %d is %x, want %x", isa, lo, hi, k,
							i, math.Float32bits(got), math.Float32bits(sum[k]))
					}
				}
			}
		}
		be.Close()
	}
}

// TestHostAddWorksBesideRun: from several goroutines, while programs run. For the race detector
// too.
func TestHostAddWorksBesideRun(t *testing.T) {
	be, err := New(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	x, err := be.Alloc(100000, kernel.F32)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			sum, one := make([]float32, 3000), slices.Repeat([]float32{1}, 3000)
			for range 100 {
				be.HostAdd(sum, sum, one)
			}
			if sum[0] != 100 || sum[2999] != 100 {
				t.Errorf("sums are %v and %v, want 100", sum[0], sum[2999])
			}
		})
	}
	for range 100 {
		if err := be.Run([]kernel.Op{kernel.Fill(x, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}
