package cuda_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/banyan-train/banyan/gpu/cuda"
)

func TestOutOfMemoryNamesWhoHoldsWhat(t *testing.T) {
	for name, c := range map[string]struct {
		faults string
		o      cuda.Options
		want   []string
	}{
		"budget": {"", cuda.Options{Budget: 64 << 20}, []string{"the budget is 64.0 MiB"}},
		"device": {"memory 67108864", cuda.Options{Budget: 1 << 30},
			[]string{"CUDA_ERROR_OUT_OF_MEMORY (2)", "GPU 0 has 16.0 MiB free of 64.0 MiB"}},
	} {
		dev := closed(t, open(t, c.faults, c.o))
		for what, n := range map[string]int64{"weights": 20 << 20, "moments": 28 << 20} {
			if _, err := dev.Alloc(within(t), n, what); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		_, err := dev.Alloc(within(t), 30<<20, "activations")
		if !errors.Is(err, cuda.ErrMemory) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		for _, want := range append(c.want, "allocate 30.0 MiB for activations",
			"in use 48.0 MiB (moments 28.0 MiB, weights 20.0 MiB)") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", name, err, want)
			}
		}
		if _, err := dev.Alloc(within(t), 1<<20, "a little"); err != nil {
			t.Errorf("%s: after that: %v", name, err)
		}
	}
}

func TestPinnedMemoryHasABudget(t *testing.T) {
	dev := closed(t, open(t, "fail cuMemHostAlloc 2 2", cuda.Options{PinnedBudget: 1000}))
	h := host(t, dev, 600)
	if _, err := dev.AllocHost(within(t), 401, "more"); !errors.Is(err, cuda.ErrMemory) ||
		!strings.Contains(err.Error(), "600 B of the budget of 1000 B") {
		t.Errorf("over the budget: %v", err)
	}
	if _, err := dev.AllocHost(within(t), 400, "more"); !errors.Is(err, cuda.ErrMemory) ||
		!strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("the driver has none: %v", err)
	}
	if _, err := dev.AllocHost(within(t), 0, "none"); err == nil {
		t.Error("0 bytes were handed out")
	}
	for _, b := range h.Bytes() {
		if b != 0 {
			t.Fatal("pinned memory is not zeroed")
		}
	}
	if err := dev.FreeHost(within(t), h); err != nil {
		t.Fatal(err)
	}
	if err := dev.FreeHost(within(t), h); err == nil {
		t.Error("pinned memory was freed twice")
	}
	host(t, dev, 1000)
}

// TestFreedMemoryWaitsForWork: a piece on which a stream still works is not handed out again.
func TestFreedMemoryWaitsForWork(t *testing.T) {
	const size = 40 << 20
	dev := closed(t, open(t, "", cuda.Options{Budget: 2*size + 1<<20}))
	fn := calls(t)
	arg := host(t, dev, 64)
	x := alloc(t, dev, size)
	run(t, dev, func(l *cuda.List) {
		l.Host(cuda.Scatter, fn("hold"), arg.Pointer())
		l.Fill8(cuda.Scatter, x, 1, 1)
	})
	if err := dev.Free(within(t), x); err != nil {
		t.Fatal(err)
	}
	y := alloc(t, dev, size)
	if y == x {
		t.Fatal("memory in use was handed out")
	}
	if _, err := dev.Alloc(briefly(t), size, "more"); err == nil {
		t.Fatal("memory in use was handed out")
	}
	atomic.StoreInt32((*int32)(arg.Pointer()), 1)
	if z := alloc(t, dev, size); z != x { // it waits for the work, then takes the piece
		t.Errorf("%#x was handed out, want %#x again", z, x)
	}
	for _, bad := range []cuda.Addr{0, y + 512} {
		if err := dev.Free(within(t), bad); err == nil {
			t.Errorf("%#x was freed", bad)
		}
	}
}
