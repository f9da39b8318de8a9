package kernels_test

import (
	"math"
	"runtime"
	"testing"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels/twin"
	"github.com/banyan-train/banyan/worker/kernel"
)

func bytesOf[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func valuesOf[T any](b []byte) []T {
	var x T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(x)))
}

func bitsOf(v []float32) []uint32 { return valuesOf[uint32](bytesOf(v)) }

// onCPU runs ops of the CPU backend on vectors of n elements and answers what out makes of y.
func (b *bench) onCPU(n int, y kernel.DType, in [][]float32, op func(y kernel.Tensor,
	x []kernel.Tensor) kernel.Op) kernel.Tensor {
	b.t.Helper()
	out, err := b.cpu.Alloc(n, y)
	must(b.t, out, err)
	var x []kernel.Tensor
	for _, v := range in {
		t, err := b.cpu.Alloc(len(v), kernel.F32)
		must(b.t, t, err)
		copy(b.cpu.Host(t), v)
		x = append(x, t)
	}
	if err := b.cpu.Run([]kernel.Op{op(out, x)}); err != nil {
		b.t.Fatal(err)
	}
	for _, t := range x {
		b.cpu.Free(t)
	}
	return out
}

func TestFillAndCopy(t *testing.T) {
	b := newBench(t)
	each(b, func(n, offset int) {
		v := b.floats(1)[0]
		y, h := b.vector(n, 4, offset), b.vector(n, 2, offset)
		x, xh := b.floatVector(b.floats(n), offset), b.halfVector(halvesOf(b.floats(n)), offset)
		y2, h2 := b.vector(n, 4, 4-offset), b.vector(n, 2, offset)
		b.run(func(l *cuda.List) {
			b.set.FillF32(l, cuda.Compute, y.at, v, int64(n))
			b.set.FillBF16(l, cuda.Compute, h.at, v, int64(n))
			b.set.CopyF32(l, cuda.Compute, y2.at, x.at, int64(n))
			b.set.CopyBF16(l, cuda.Compute, h2.at, xh.at, int64(n))
		})
		half := b.onCPU(1, kernel.BF16, nil, func(y kernel.Tensor, _ []kernel.Tensor) kernel.Op {
			return kernel.Fill(y, v)
		})
		want, wantHalf := make([]uint32, n), make([]uint16, n)
		for i := range n {
			want[i], wantHalf[i] = math.Float32bits(v), b.cpu.HostHalf(half)[0]
		}
		equal(t, valuesOf[uint32](b.get(y)), want, "fill %d", n)
		equal(t, valuesOf[uint16](b.get(h)), wantHalf, "fill %d halves", n)
		equal(t, b.get(y2), b.get(x), "copy %d at offset %d", n, offset)
		equal(t, b.get(h2), b.get(xh), "copy %d halves at offset %d", n, offset)
	})
}

func TestCastsGiveTheCPUsBits(t *testing.T) {
	b := newBench(t)
	each(b, func(n, offset int) {
		v := b.floats(n)
		x, y, back := b.floatVector(v, offset), b.vector(n, 2, offset), b.vector(n, 4, offset)
		b.run(func(l *cuda.List) {
			b.set.Narrow(l, cuda.Compute, y.at, x.at, int64(n))
			b.set.Widen(l, cuda.Compute, back.at, y.at, int64(n))
		})
		want := b.cpu.HostHalf(b.onCPU(n, kernel.BF16, [][]float32{v},
			func(y kernel.Tensor, x []kernel.Tensor) kernel.Op { return kernel.Copy(y, x[0]) }))
		equal(t, valuesOf[uint16](b.get(y)), want, "narrow %d at offset %d", n, offset)
		wide := make([]uint32, n)
		for i, h := range want {
			wide[i] = uint32(h) << 16
		}
		equal(t, valuesOf[uint32](b.get(back)), wide, "widen %d at offset %d", n, offset)
	})
}

func TestI3_AddGivesTheCPUsBits(t *testing.T) {
	b := newBench(t)
	each(b, func(n, offset int) {
		v, w := b.floats(n), b.floats(n)
		x, z, y := b.floatVector(v, offset), b.floatVector(w, offset), b.vector(n, 4, offset)
		b.run(func(l *cuda.List) {
			b.set.AddF32(l, cuda.Compute, y.at, x.at, z.at, int64(n))
			b.set.AddF32(l, cuda.Compute, x.at, x.at, z.at, int64(n)) // in place
		})
		want := make([]uint32, n)
		for i := range want {
			want[i] = twin.Add(v[i], w[i])
		}
		equal(t, valuesOf[uint32](b.get(y)), want, "add %d at offset %d", n, offset)
		equal(t, valuesOf[uint32](b.get(x)), want, "add %d in place", n)
		onCPU := bitsOf(b.cpu.Host(b.onCPU(n, kernel.F32, [][]float32{v, w},
			func(y kernel.Tensor, x []kernel.Tensor) kernel.Op { return kernel.Add(y, x[0], x[1]) })))
		for i, bits := range onCPU {
			// Which of two NaNs it keeps is the C compiler's choice.
			two := v[i] != v[i] && w[i] != w[i] && bits == twin.Add(w[i], v[i])
			nan := math.IsNaN(float64(math.Float32frombits(bits)))
			if bits != want[i] && !two && (runtime.GOARCH == "amd64" || !nan) {
				t.Fatalf("%x + %x is %x on this CPU, %x here", math.Float32bits(v[i]),
					math.Float32bits(w[i]), bits, want[i])
			}
		}
	})
}

func TestAddHalves(t *testing.T) {
	b := newBench(t)
	each(b, func(n, offset int) {
		v, w := halvesOf(b.floats(n)), halvesOf(b.floats(n))
		x, z, y := b.halfVector(v, offset), b.halfVector(w, offset), b.vector(n, 2, offset)
		b.run(func(l *cuda.List) {
			b.set.AddBF16(l, cuda.Compute, y.at, x.at, z.at, int64(n))
		})
		want := make([]uint16, n)
		for i := range want {
			want[i] = twin.AddHalves(v[i], w[i])
		}
		equal(t, valuesOf[uint16](b.get(y)), want, "add %d halves at offset %d", n, offset)
	})
}
