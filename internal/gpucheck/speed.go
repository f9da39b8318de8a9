package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
)

// goal is the part of the driver's own copy that a kernel limited by memory must reach.
const goal = 0.85

// rounds is how often each is timed; the median counts.
const rounds = 9

// vectors are what the speeds are measured on: sources, and one output.
const vectors = 8

// speed measures the driver's copy, copies to and from the host, and every kernel.
func (r *report) speed(b *bench, bytes int64) {
	err := r.measure(b, bytes/4)
	if err := errors.Join(err, b.free()); err != nil {
		r.add("speed", err, "")
	}
}

func (r *report) measure(b *bench, n int64) error {
	x := make([]cuda.Addr, vectors+1)
	for i := range x {
		var err error
		if x[i], err = b.alloc(4*n, 0); err != nil {
			return err
		}
		if _, err = b.run(func(l *cuda.List) error {
			b.set.FillF32(l, cuda.Compute, x[i], float32(i)+0.5, n)
			return nil
		}); err != nil {
			return err
		}
	}
	y, x := x[vectors], x[:vectors]
	h, err := b.host(min(4*n, 256<<20))
	if err != nil {
		return err
	}
	size := int64(len(h.Bytes()))
	if _, err := r.time(b, "speed of upload", size, 0, func(l *cuda.List) error {
		l.Upload(cuda.Compute, y, h, 0, size)
		return nil
	}); err != nil {
		return err
	}
	if _, err := r.time(b, "speed of download", size, 0, func(l *cuda.List) error {
		l.Download(cuda.Compute, h, 0, y, size)
		return nil
	}); err != nil {
		return err
	}
	copied, err := r.time(b, "speed of the driver's copy", 8*n, 0, func(l *cuda.List) error {
		l.Copy(cuda.Compute, y, x[0], 4*n)
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range b.kernels(y, x, n) {
		if _, err := r.time(b, "speed of "+c.name, c.bytes, copied, c.build); err != nil {
			return err
		}
	}
	return nil
}

type timed struct {
	name  string
	bytes int64 // read and written
	build func(l *cuda.List) error
}

// kernels lists every kernel on vectors of n elements of 4 bytes.
func (b *bench) kernels(y cuda.Addr, x []cuda.Addr, n int64) []timed {
	plain := func(f func(l *cuda.List)) func(l *cuda.List) error {
		return func(l *cuda.List) error { f(l); return nil }
	}
	const chunk = 16384
	s := cuda.Compute
	return []timed{
		{"fill", 4 * n, plain(func(l *cuda.List) { b.set.FillF32(l, s, y, 1, n) })},
		{"fill halves", 4 * n, plain(func(l *cuda.List) { b.set.FillBF16(l, s, y, 1, 2*n) })},
		{"copy", 8 * n, plain(func(l *cuda.List) { b.set.CopyF32(l, s, y, x[0], n) })},
		{"copy halves", 8 * n, plain(func(l *cuda.List) { b.set.CopyBF16(l, s, y, x[0], 2*n) })},
		{"narrow", 6 * n, plain(func(l *cuda.List) { b.set.Narrow(l, s, y, x[0], n) })},
		{"widen", 6 * n, plain(func(l *cuda.List) { b.set.Widen(l, s, y, x[0], n) })},
		{"add", 12 * n, plain(func(l *cuda.List) { b.set.AddF32(l, s, y, x[0], x[1], n) })},
		{"add halves", 12 * n, plain(func(l *cuda.List) { b.set.AddBF16(l, s, y, x[0], x[1], 2*n) })},
		{"sum of 8 parts", 4 * n * (vectors + 1), func(l *cuda.List) error {
			order := kernels.Tree(0, vectors, func(lo, hi int) int { return (lo + hi) / 2 })
			return b.set.SumParts(l, s, y, x, order, n)
		}},
		{"sum of squares", 4 * n, func(l *cuda.List) error {
			return b.set.SumSquares(l, s, y, x[0], n, chunk)
		}},
	}
}

// time adds a row with the median speed. copied is the speed to compare with, or 0.
func (r *report) time(b *bench, name string, bytes int64, copied float64,
	build func(l *cuda.List) error,
) (speed float64, err error) {
	var seconds []float64
	for i := range rounds + 1 {
		d, err := b.run(build)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if i > 0 { // the first warms up
			seconds = append(seconds, d.Seconds())
		}
	}
	slices.Sort(seconds)
	speed = float64(bytes) / seconds[rounds/2]
	x := row{Check: name, OK: true, BytesPerSecond: speed, Value: fmt.Sprintf("%.1f GB/s", speed/1e9)}
	if copied > 0 {
		x.Ratio = speed / copied
		x.OK = x.Ratio >= goal
		x.Value += fmt.Sprintf(", %.2f of the copy", x.Ratio)
	}
	r.Checks = append(r.Checks, x)
	return speed, nil
}
