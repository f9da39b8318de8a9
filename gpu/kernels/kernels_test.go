package kernels_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/fake"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/nvrtc"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// bench is a fake device with our kernels, compiled for this host, and a CPU backend beside it.
type bench struct {
	t    *testing.T
	dev  *cuda.Device
	set  *kernels.Set
	cpu  kernel.Backend
	done *cuda.Event
	rng  *rand.Rand
	held []cuda.Addr
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cubins is the folder of what was compiled for the tests: once.
var cubins string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "banyan-kernels-")
	if err != nil {
		panic(err)
	}
	cubins = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	search := gpu.Search{Named: []string{fake.Build(t, fake.Options{})}}
	driver, err := cuda.Load(search)
	must(t, driver, err)
	supply, err := nvrtc.NewSupply(driver.Search(), nvrtc.Options{Cache: cubins, Ahead: []string{}})
	must(t, supply, err)
	dev, err := driver.Open(0, cuda.Options{})
	must(t, dev, err)
	set, err := kernels.Load(within(t), dev, supply)
	must(t, set, err)
	done, err := dev.NewEvent(within(t), false)
	must(t, done, err)
	be, err := cpu.New(cpu.Options{Threads: 1})
	must(t, be, err)
	b := &bench{t, dev, set, be, done, rand.New(rand.NewPCG(11, 12)), nil}
	t.Cleanup(func() {
		b.cpu.Close()
		if err := set.Close(within(t)); err != nil {
			t.Error(err)
		}
		if err := dev.Close(within(t)); err != nil {
			t.Error(err)
		}
	})
	return b
}

// floats draws numbers of very different sizes, the special ones among them.
func (b *bench) floats(n int) []float32 {
	special := []uint32{0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 0xffc12345, 0x7f800001,
		0x7fffffff, 1, 0x80000001, 0x7f7fffff, 0x3f808000, 0x3f818000, 0x007fffff}
	v := make([]float32, n)
	for i := range v {
		switch b.rng.IntN(8) {
		case 0:
			v[i] = math.Float32frombits(special[b.rng.IntN(len(special))])
		case 1:
			v[i] = math.Float32frombits(b.rng.Uint32())
		default:
			v[i] = float32(b.rng.NormFloat64() * math.Exp2(float64(b.rng.IntN(40)-20)))
		}
	}
	return v
}

func halvesOf(v []float32) []uint16 {
	out := make([]uint16, len(v))
	for i, x := range v {
		out[i] = uint16(math.Float32bits(x) >> 16) // cut: any half will do
	}
	return out
}

// poison is what outputs hold before, and what stands around them: kernels must write all of the
// first and none of the second.
const poison, margin = 0xdb, 64

// vector is n elements of size bytes in the device's memory, `offset` elements off its alignment.
type vector struct {
	base, at cuda.Addr
	bytes    int64
}

func (b *bench) vector(n, size, offset int) vector {
	bytes := int64(n * size)
	base, err := b.dev.Alloc(b.t.Context(), bytes+2*margin+16*int64(size), "vector")
	must(b.t, base, err)
	b.held = append(b.held, base)
	v := vector{base, base + margin + cuda.Addr(offset*size), bytes}
	b.run(func(l *cuda.List) {
		l.Fill8(cuda.Compute, base, poison, bytes+2*margin+16*int64(size))
	})
	return v
}

// freeAll frees all vectors.
func (b *bench) freeAll() {
	for _, at := range b.held {
		if err := b.dev.Free(b.t.Context(), at); err != nil {
			b.t.Fatal(err)
		}
	}
	b.held = nil
}

// run runs a list on the compute stream and waits for it.
func (b *bench) run(build func(l *cuda.List)) {
	b.t.Helper()
	l := b.dev.NewList()
	defer l.Free()
	build(l)
	l.Record(cuda.Compute, b.done)
	if err := b.dev.Run(b.t.Context(), l); err != nil {
		b.t.Fatal(err)
	}
	if err := b.dev.Wait(b.t.Context(), b.done); err != nil {
		b.t.Fatal(err)
	}
}

// put uploads bytes, whose number is the vector's.
func (b *bench) put(v vector, from []byte) {
	b.t.Helper()
	if v.bytes == 0 {
		return
	}
	h := must(b.t, b.host(v.bytes), nil)
	defer b.free(h)
	copy(h.Bytes(), from)
	b.run(func(l *cuda.List) { l.Upload(cuda.Compute, v.at, h, 0, v.bytes) })
}

// get downloads a vector and checks that what stands around it is as it was.
func (b *bench) get(v vector) []byte {
	b.t.Helper()
	h := b.host(v.bytes + 2*margin)
	defer b.free(h)
	b.run(func(l *cuda.List) { l.Download(cuda.Compute, h, 0, v.at-margin, v.bytes+2*margin) })
	for i, c := range h.Bytes() {
		if (i < margin || int64(i) >= margin+v.bytes) && c != poison {
			b.t.Fatalf("byte %d beside a vector of %d was written", i-margin, v.bytes)
		}
	}
	return slices.Clone(h.Bytes()[margin : margin+v.bytes])
}

func (b *bench) host(n int64) *cuda.Host {
	b.t.Helper()
	h, err := b.dev.AllocHost(b.t.Context(), n, "staging")
	return must(b.t, h, err)
}

func (b *bench) free(h *cuda.Host) {
	if err := b.dev.FreeHost(b.t.Context(), h); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) floatVector(v []float32, offset int) vector {
	x := b.vector(len(v), 4, offset)
	b.put(x, bytesOf(v))
	return x
}

func (b *bench) halfVector(v []uint16, offset int) vector {
	x := b.vector(len(v), 2, offset)
	b.put(x, bytesOf(v))
	return x
}

// sizes with tails of every kind, and more than one turn of a grid.
var sizes = []int{1, 2, 3, 4, 5, 7, 8, 9, 63, 1000, 1023, 32768 + 3, 40000}

// each runs a test for sizes and offsets from alignment.
func each(b *bench, fn func(n, offset int)) {
	for _, n := range sizes {
		for _, offset := range []int{0, 1, 4} {
			fn(n, offset)
			b.freeAll()
		}
	}
}

func equal[T comparable](t *testing.T, got, want []T, format string, args ...any) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: element %d of %d is %x, want %x", fmt.Sprintf(format, args...), i,
				len(want), any(got[i]), any(want[i]))
		}
	}
}
