package kernels

import (
	"context"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/nvrtc"
)

// Set is the kernels of one device. Its methods append launches to lists; y, x and the rest are
// addresses of the device, n counts elements.
type Set struct {
	device    *cuda.Device
	modules   []*cuda.Module
	functions map[string]*cuda.Function
}

// Load gets every kernel for a device: compiled before, or now.
func Load(ctx context.Context, dev *cuda.Device, supply *nvrtc.Supply) (*Set, error) {
	k := &Set{device: dev, functions: map[string]*cuda.Function{}}
	for _, source := range Sources() {
		if err := k.load(ctx, source, supply); err != nil {
			return nil, errors.Join(fmt.Errorf("load kernels: %w", err), k.Close(ctx))
		}
	}
	return k, nil
}

func (k *Set) load(ctx context.Context, source nvrtc.Source, supply *nvrtc.Supply) error {
	cubin, err := supply.Cubin(source, k.device.Info().Arch)
	if err != nil {
		return err
	}
	m, err := k.device.LoadModule(ctx, cubin)
	if err != nil {
		return fmt.Errorf("%s: %w", source.Name, err)
	}
	k.modules = append(k.modules, m)
	for _, name := range names[source.Name] {
		if k.functions[name], err = m.Function(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", source.Name, err)
		}
	}
	return nil
}

// Close frees the kernels; none may be running.
func (k *Set) Close(ctx context.Context) error {
	var errs []error
	for _, m := range k.modules {
		errs = append(errs, m.Unload(ctx))
	}
	k.modules = nil
	return errors.Join(errs...)
}

// Functions lists the kernels by name.
func (k *Set) Functions() map[string]*cuda.Function { return k.functions }

const (
	threads = 256
	vector  = 4 // elements that a thread takes at once
	// blocksEach is how many blocks a multiprocessor holds: 2048 threads.
	blocksEach = 2048 / threads
)

// grid is enough blocks for n elements, and no more than run at once: threads take more then.
func (k *Set) grid(n int64) cuda.Dim {
	each := int64(threads * vector)
	return cuda.Line(int(min((n+each-1)/each, int64(k.device.Info().Multiprocessors*blocksEach))))
}

func launch[A any](k *Set, l *cuda.List, s cuda.Stream, name string, n int64, args A) {
	cuda.Launch(l, s, k.functions[name], k.grid(n), cuda.Line(threads), args)
}

// FillF32 sets y to v.
func (k *Set) FillF32(l *cuda.List, s cuda.Stream, y cuda.Addr, v float32, n int64) {
	launch(k, l, s, "fill_f32", n, fillArgs{y, n, floatBits(v)})
}

// FillBF16 sets y to v, rounded.
func (k *Set) FillBF16(l *cuda.List, s cuda.Stream, y cuda.Addr, v float32, n int64) {
	launch(k, l, s, "fill_bf16", n, fillArgs{y, n, floatBits(v)})
}

// CopyF32 sets y = x.
func (k *Set) CopyF32(l *cuda.List, s cuda.Stream, y, x cuda.Addr, n int64) {
	launch(k, l, s, "copy_f32", n, copyArgs{y, x, n})
}

// CopyBF16 sets y = x.
func (k *Set) CopyBF16(l *cuda.List, s cuda.Stream, y, x cuda.Addr, n int64) {
	launch(k, l, s, "copy_bf16", n, copyArgs{y, x, n})
}

// Narrow sets y, of bfloat16, to x, of float32, rounded to nearest even.
func (k *Set) Narrow(l *cuda.List, s cuda.Stream, y, x cuda.Addr, n int64) {
	launch(k, l, s, "narrow_f32", n, copyArgs{y, x, n})
}

// Widen sets y, of float32, to x, of bfloat16.
func (k *Set) Widen(l *cuda.List, s cuda.Stream, y, x cuda.Addr, n int64) {
	launch(k, l, s, "widen_bf16", n, copyArgs{y, x, n})
}

// AddF32 sets y = a + b. y may be a or b.
func (k *Set) AddF32(l *cuda.List, s cuda.Stream, y, a, b cuda.Addr, n int64) {
	launch(k, l, s, "add_f32", n, addArgs{y, a, b, n})
}

// AddBF16 sets y = a + b, the sum in float32 rounded once. y may be a or b.
func (k *Set) AddBF16(l *cuda.List, s cuda.Stream, y, a, b cuda.Addr, n int64) {
	launch(k, l, s, "add_bf16", n, addArgs{y, a, b, n})
}

// SumParts sets y to the sum of the parts in the order o, one rounding an addition: what adding
// them pair by pair with AddF32 gives. y may be one of the parts.
func (k *Set) SumParts(l *cuda.List, s cuda.Stream, y cuda.Addr, parts []cuda.Addr, o Order,
	n int64,
) error {
	if err := o.check(); err != nil {
		return err
	}
	if len(parts) != o.parts {
		return fmt.Errorf("sum %d parts in an order of %d", len(parts), o.parts)
	}
	args := sumArgs{y: y, program: o.program, n: n, steps: uint64(o.steps)}
	copy(args.part[:], parts)
	launch(k, l, s, "sum_parts_f32", n, args)
	return nil
}

// SumSquares sets sums[i] to the sum of the squares of chunk i of x; the last may be short.
func (k *Set) SumSquares(l *cuda.List, s cuda.Stream, sums, x cuda.Addr, n, chunk int64) error {
	if n <= 0 || chunk <= 0 || (n-1)/chunk >= 1<<31-1 {
		return fmt.Errorf("sum squares of %d elements in chunks of %d", n, chunk)
	}
	cuda.Launch(l, s, k.functions["sum_squares_f32"], cuda.Line(int((n-1)/chunk+1)), cuda.Line(512),
		squaresArgs{sums, x, n, chunk})
	return nil
}
