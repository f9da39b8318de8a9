package fake_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/fake"
	"github.com/banyan-train/banyan/gpu/nvrtc"
)

// kernels are of our subset of C; each takes the address of a vector.
const kernels = `
struct args { unsigned long long y; };

/* Each thread says where it is, in three dimensions. */
KERNEL(places, 24, struct args)
{
	unsigned *y = (unsigned *)a.y;
	unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
	unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
	y[block * 24 + thread] = block << 16 | thread;
}

/* Reverses 96 elements through shared memory, twice. */
KERNEL(reversed, 96, struct args)
{
	__shared__ unsigned s[96];
	unsigned *y = (unsigned *)a.y, t = threadIdx.x;
	for (int round = 0; round < 2; round++) {
		s[t] = y[t] + round;
		__syncthreads();
		y[t] = s[95 - t];
		__syncthreads();
	}
}

/* The same without the barrier between writing and reading. */
KERNEL(racing, 96, struct args)
{
	__shared__ unsigned s[96];
	unsigned *y = (unsigned *)a.y, t = threadIdx.x;
	s[t] = y[t];
	y[t] = s[95 - t];
}

/* Half of the threads wait for the other half, which wait in their warps. */
KERNEL(stuck, 64, struct args)
{
	if (threadIdx.x % 2)
		__syncthreads();
	else
		__shfl_down_sync(0xffffffff, 1.0, 1, 32);
}

/* Threads that have left are not waited for. */
KERNEL(leaving, 64, struct args)
{
	unsigned *y = (unsigned *)a.y;
	if (threadIdx.x >= 40)
		return;
	__syncthreads();
	y[threadIdx.x] = 7;
}

/* Sums over groups of 16 lanes. */
KERNEL(shuffled, 64, struct args)
{
	double d = threadIdx.x;
	for (unsigned w = 8; w > 0; w /= 2)
		d += __shfl_down_sync(0xffffffff, d, w, 16);
	((unsigned *)a.y)[threadIdx.x] = (unsigned)d;
}
`

type bench struct {
	t      *testing.T
	dev    *cuda.Device
	module *cuda.Module
	y      cuda.Addr
	h      *cuda.Host
	done   *cuda.Event
}

const elements = 1024

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newBench(t *testing.T) *bench {
	t.Helper()
	driver, err := cuda.Load(gpu.Search{Named: []string{fake.Build(t, fake.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := nvrtc.Load(driver.Search())
	if err != nil {
		t.Fatal(err)
	}
	cubin, err := compiler.Compile(nvrtc.Source{Name: "test.cu", Text: kernels}, 90)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := driver.Open(0, cuda.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dev: dev}
	if b.module, err = dev.LoadModule(within(t), cubin); err == nil {
		if b.y, err = dev.Alloc(within(t), 4*elements, "y"); err == nil {
			if b.h, err = dev.AllocHost(within(t), 4*elements, "h"); err == nil {
				b.done, err = dev.NewEvent(within(t), false)
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run launches a kernel on 0, 1, 2 .. and answers what it made of it.
func (b *bench) run(name string, grid, block cuda.Dim) ([]uint32, error) {
	b.t.Helper()
	f, err := b.module.Function(within(b.t), name)
	if err != nil {
		b.t.Fatal(err)
	}
	y := unsafe.Slice((*uint32)(b.h.Pointer()), elements)
	for i := range y {
		y[i] = uint32(i)
	}
	l := b.dev.NewList()
	defer l.Free()
	l.Upload(cuda.Compute, b.y, b.h, 0, 4*elements)
	cuda.Launch(l, cuda.Compute, f, grid, block, struct{ y cuda.Addr }{b.y})
	l.Download(cuda.Compute, b.h, 0, b.y, 4*elements)
	l.Record(cuda.Compute, b.done)
	if err := b.dev.Run(within(b.t), l); err != nil {
		return nil, err
	}
	return y, b.dev.Wait(within(b.t), b.done)
}

func TestThreadsKnowTheirPlace(t *testing.T) {
	b := newBench(t)
	y, err := b.run("places", cuda.Dim{X: 2, Y: 3, Z: 4}, cuda.Dim{X: 4, Y: 3, Z: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range y[:24*24] {
		if want := uint32(i/24<<16 | i%24); v != want {
			t.Fatalf("element %d is %x, want %x", i, v, want)
		}
	}
}

func TestBarriersAndShuffles(t *testing.T) {
	b := newBench(t)
	for range 6 { // in every order of threads
		y, err := b.run("reversed", cuda.Line(1), cuda.Line(96))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range y[:96] {
			if v != uint32(i+1) {
				t.Fatalf("reversed twice, element %d is %d", i, v)
			}
		}
		if y, err = b.run("shuffled", cuda.Line(1), cuda.Line(64)); err != nil {
			t.Fatal(err)
		}
		for group := range 4 {
			if want := uint32(16*16*group + 120); y[16*group] != want {
				t.Fatalf("group %d sums to %d, want %d", group, y[16*group], want)
			}
		}
		if y, err = b.run("leaving", cuda.Line(1), cuda.Line(64)); err != nil {
			t.Fatal(err)
		}
		if y[39] != 7 || y[40] != 40 {
			t.Fatalf("elements 39 and 40 are %d and %d", y[39], y[40])
		}
	}
}

// TestRacesAreFoundOut: without its barrier a kernel does not come out the same in every order.
func TestRacesAreFoundOut(t *testing.T) {
	b := newBench(t)
	seen := map[string]bool{}
	for range 6 {
		y, err := b.run("racing", cuda.Line(1), cuda.Line(96))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(unsafe.Slice((*byte)(unsafe.Pointer(&y[0])), 96*4))] = true
	}
	if len(seen) < 2 {
		t.Error("a race came out the same in every order")
	}
}

func TestKernelThatHangsIsAnError(t *testing.T) {
	b := newBench(t)
	_, err := b.run("stuck", cuda.Line(1), cuda.Line(64))
	if !errors.Is(err, cuda.ErrFailed) || !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED") {
		t.Errorf("error %v", err)
	}
}

func TestLaunchesThatCannotBe(t *testing.T) {
	b := newBench(t)
	f, err := b.module.Function(within(t), "leaving")
	if err != nil || f.Threads != 64 {
		t.Fatalf("%+v, %v", f, err)
	}
	for name, launch := range map[string]func(l *cuda.List){
		"argument": func(l *cuda.List) {
			cuda.Launch(l, cuda.Compute, f, cuda.Line(1), cuda.Line(64), [2]cuda.Addr{})
		},
		"threads": func(l *cuda.List) {
			cuda.Launch(l, cuda.Compute, f, cuda.Line(1), cuda.Line(65), b.y)
		},
		"no grid": func(l *cuda.List) {
			cuda.Launch(l, cuda.Compute, f, cuda.Line(0), cuda.Line(64), b.y)
		},
		"too many": func(l *cuda.List) {
			cuda.Launch(l, cuda.Compute, f, cuda.Line(1<<31), cuda.Line(64), b.y)
		},
		"no block": func(l *cuda.List) {
			cuda.Launch(l, cuda.Compute, f, cuda.Line(1), cuda.Dim{X: 1}, b.y)
		},
	} {
		l := b.dev.NewList()
		launch(l)
		if err := b.dev.Run(within(t), l); err == nil {
			t.Errorf("%s: no error", name)
		}
		l.Free()
	}
	if _, err := b.module.Function(within(t), "none such"); err == nil {
		t.Error("a kernel that is not there was found")
	}
	for name, image := range map[string][]byte{"empty": nil, "text": []byte("\x7fELF"),
		"not ours": slices.Concat([]byte("\x7fELF\x02\x01"), make([]byte, 100))} {
		if _, err := b.dev.LoadModule(within(t), image); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	if err := b.dev.Close(within(t)); err != nil {
		t.Error(err)
	}
}
