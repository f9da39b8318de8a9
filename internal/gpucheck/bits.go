package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/kernels/twin"
)

// special are bits that rounding and addition treat apart: zeros, infinities, NaNs, ties and
// subnormals.
var special = []uint32{0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 0xffc12345, 0x7f800001,
	0x7fffffff, 1, 0x80000001, 0x7f7fffff, 0x3f808000, 0x3f818000, 0x007fffff}

// data makes random vectors.
type data struct{ rng *rand.Rand }

// any draws numbers of all sizes, with the special ones among them; plain leaves those out.
func (d data) any(n int) []float32 {
	v := d.plain(n)
	for i := range v {
		switch d.rng.IntN(8) {
		case 0:
			v[i] = math.Float32frombits(special[d.rng.IntN(len(special))])
		case 1:
			v[i] = math.Float32frombits(d.rng.Uint32())
		}
	}
	return v
}

func (d data) plain(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(d.rng.NormFloat64() * math.Exp2(float64(d.rng.IntN(40)-20)))
	}
	return v
}

func halves(v []float32) []uint16 {
	out := make([]uint16, len(v))
	for i, x := range v {
		out[i] = uint16(math.Float32bits(x) >> 16)
	}
	return out
}

func mapped[A, B any](v []A, f func(i int, x A) B) []B {
	out := make([]B, len(v))
	for i, x := range v {
		out[i] = f(i, x)
	}
	return out
}

// bits holds every kernel against its twin, aligned and not, on new data each.
func (r *report) bits(b *bench, o options) {
	d := data{rand.New(rand.NewPCG(o.seed, 1))}
	n := int(o.elements)
	for _, offset := range []int{0, 1} {
		for _, c := range []struct {
			name string
			run  func(*bench, data, int, int) error
		}{{"fill", fillBits}, {"copy", copyBits}, {"cast", castBits}, {"add", addBits},
			{"add halves", addHalfBits}, {"sum of parts", sumBits}, {"sum of squares", squareBits}} {
			err := c.run(b, d, n, offset)
			r.add(fmt.Sprintf("bits of %s, offset %d", c.name, offset), errors.Join(err, b.free()),
				fmt.Sprintf("%d elements", n))
		}
	}
}

// output computes into a poisoned vector of len(want) elements of `size` bytes, and compares.
func output[T comparable](b *bench, want []T, size, offset int,
	build func(l *cuda.List, y cuda.Addr) error,
) error {
	y, err := b.alloc(int64(len(want)*size), int64(offset*size))
	if err != nil {
		return err
	}
	if _, err = b.run(func(l *cuda.List) error { return build(l, y) }); err != nil {
		return err
	}
	return compare(b, y, want)
}

func fillBits(b *bench, d data, n, offset int) error {
	v := d.plain(1)[0]
	f := mapped(make([]uint32, n), func(int, uint32) uint32 { return math.Float32bits(v) })
	h := mapped(make([]uint16, n), func(int, uint16) uint16 { return twin.Narrow(v) })
	return errors.Join(
		output(b, f, 4, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.FillF32(l, cuda.Compute, y, v, int64(n))
			return nil
		}),
		output(b, h, 2, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.FillBF16(l, cuda.Compute, y, v, int64(n))
			return nil
		}))
}

func copyBits(b *bench, d data, n, offset int) error {
	f := mapped(d.any(n), func(_ int, x float32) uint32 { return math.Float32bits(x) })
	h := halves(d.any(n))
	x, xh, err := uploadTwo(b, f, h, offset)
	if err != nil {
		return err
	}
	return errors.Join(
		output(b, f, 4, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.CopyF32(l, cuda.Compute, y, x, int64(n))
			return nil
		}),
		output(b, h, 2, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.CopyBF16(l, cuda.Compute, y, xh, int64(n))
			return nil
		}))
}

func castBits(b *bench, d data, n, offset int) error {
	v, w := d.any(n), halves(d.any(n))
	x, h, err := uploadTwo(b, v, w, offset)
	if err != nil {
		return err
	}
	narrow := mapped(v, func(_ int, x float32) uint16 { return twin.Narrow(x) })
	wide := mapped(w, func(_ int, x uint16) uint32 { return uint32(x) << 16 })
	return errors.Join(
		output(b, narrow, 2, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.Narrow(l, cuda.Compute, y, x, int64(n))
			return nil
		}),
		output(b, wide, 4, offset, func(l *cuda.List, y cuda.Addr) error {
			b.set.Widen(l, cuda.Compute, y, h, int64(n))
			return nil
		}))
}

func addBits(b *bench, d data, n, offset int) error {
	v, w := d.any(n), d.any(n)
	x, z, err := uploadTwo(b, v, w, offset)
	if err != nil {
		return err
	}
	want := mapped(v, func(i int, x float32) uint32 { return twin.Add(x, w[i]) })
	return output(b, want, 4, offset, func(l *cuda.List, y cuda.Addr) error {
		b.set.AddF32(l, cuda.Compute, y, x, z, int64(n))
		return nil
	})
}

func addHalfBits(b *bench, d data, n, offset int) error {
	v, w := halves(d.any(n)), halves(d.any(n))
	x, z, err := uploadTwo(b, v, w, offset)
	if err != nil {
		return err
	}
	want := mapped(v, func(i int, x uint16) uint16 { return twin.AddHalves(x, w[i]) })
	return output(b, want, 2, offset, func(l *cuda.List, y cuda.Addr) error {
		b.set.AddBF16(l, cuda.Compute, y, x, z, int64(n))
		return nil
	})
}

// sumBits adds 13 leaves, of which every third has two parts, as a tree.
func sumBits(b *bench, d data, n, offset int) error {
	n = max(1, n/16)
	var order kernels.Order
	var parts []cuda.Addr
	part := func() ([]float32, error) {
		v := d.any(n)
		at, err := upload(b, v, offset)
		parts = append(parts, at)
		order.Push()
		return v, err
	}
	add := func(x, y []float32) []float32 {
		order.Add()
		return mapped(x, func(i int, x float32) float32 {
			return math.Float32frombits(twin.Add(x, y[i]))
		})
	}
	var node func(lo, hi int) ([]float32, error)
	node = func(lo, hi int) ([]float32, error) {
		mid := lo + (hi-lo+1)/2
		left, right := func() ([]float32, error) { return node(lo, mid) },
			func() ([]float32, error) { return node(mid, hi) }
		if hi-lo == 1 {
			if left, right = part, part; lo%3 != 0 {
				return part()
			}
		}
		x, err := left()
		if err != nil {
			return nil, err
		}
		y, err := right()
		if err != nil {
			return nil, err
		}
		return add(x, y), nil
	}
	sum, err := node(0, 13)
	if err != nil {
		return err
	}
	want := mapped(sum, func(_ int, x float32) uint32 { return math.Float32bits(x) })
	return output(b, want, 4, offset, func(l *cuda.List, y cuda.Addr) error {
		return b.set.SumParts(l, cuda.Compute, y, parts, order, int64(n))
	})
}

func squareBits(b *bench, d data, n, offset int) error {
	const chunk = 16384
	v := d.plain(n)
	x, err := upload(b, v, offset)
	if err != nil {
		return err
	}
	want := mapped(make([]uint32, (n+chunk-1)/chunk), func(i int, _ uint32) uint32 {
		return math.Float32bits(twin.SumSquares(v[i*chunk:min(n, (i+1)*chunk)], twin.Lanes))
	})
	return output(b, want, 4, offset, func(l *cuda.List, y cuda.Addr) error {
		return b.set.SumSquares(l, cuda.Compute, y, x, int64(n), chunk)
	})
}
