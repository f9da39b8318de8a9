package ref

import (
	"math"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
)

func TestBackendRunsOpsOnSlices(t *testing.T) {
	b := New()
	defer b.Close()
	a := alloc(t, b, 10)
	other := alloc(t, b, 3)
	if err := b.Run([]kernel.Op{kernel.Fill(a, 2), kernel.Fill(a.Slice(4, 7), 5),
		kernel.Scale(other, a.Slice(3, 6), 2)}); err != nil {
		t.Fatal(err)
	}
	if got := b.Host(other); got[0] != 4 || got[1] != 10 || got[2] != 10 {
		t.Errorf("scaled slice: %v", got)
	}
	if uintptr(a.Addr)%64 != 0 || uintptr(other.Addr)%64 != 0 {
		t.Errorf("addresses %#x, %#x: not aligned to 64 bytes", a.Addr, other.Addr)
	}
}

func TestBackendRefusesBadOps(t *testing.T) {
	b := New()
	defer b.Close()
	x := alloc(t, b, 8)
	ids, err := b.Alloc(2, kernel.I32)
	if err != nil {
		t.Fatal(err)
	}
	b.HostInts(ids)[1] = 9
	gone := alloc(t, b, 8)
	b.Free(gone)
	for name, op := range map[string]kernel.Op{
		"code":  {Code: 99},
		"zero":  {},
		"index": kernel.Embed(x.Slice(0, 4), x, ids, 2, 2, 4),
		"freed": kernel.Fill(gone, 1),
		"chunk": {Code: kernel.OpSumSquares},
		"heads": {Code: kernel.OpAttention},
	} {
		if err := b.Run([]kernel.Op{op}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := b.Alloc(-1, kernel.F32); err == nil {
		t.Error("a negative size was allocated")
	}
}

func TestAdamWAgainstHand(t *testing.T) {
	// One step from zero moments with correction: the update is lr * sign(g), plus the decay.
	p, m, v, g := []float64{2}, []float64{0}, []float64{0}, []float64{-3}
	AdamW(p, m, v, g, kernel.AdamWStep{LR: 0.5, Beta1: 0.5, Beta2: 0.75, WeightDecay: 0.25,
		Correction1: 2, Correction2: 4, GradScale: 1})
	if want := 2 - 0.5*(-1+0.25*2); math.Abs(p[0]-want) > 1e-12 {
		t.Errorf("p = %v, want %v", p[0], want)
	}
	if m[0] != -1.5 || v[0] != 2.25 {
		t.Errorf("m, v = %v, %v", m[0], v[0])
	}
}

func alloc(t *testing.T, b *Backend, n int) kernel.Tensor {
	t.Helper()
	x, err := b.Alloc(n, kernel.F32)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
