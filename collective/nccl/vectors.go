package nccl

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
)

// Vectors is the memory and the arithmetic of a tree.Sum on a device: the moving is NCCL's, the
// order that of the tree, the additions are our own kernel's, so the bits are those of any host.
// Everything is put on one stream, in the order of the calls, and nothing waits: what the sum is
// made of must come on that stream too, or be awaited on it.
type Vectors struct {
	ctx    context.Context
	dev    *cuda.Device
	set    *kernels.Set
	stream cuda.Stream
	n      int
	free   []cuda.Addr
}

var _ tree.Vectors[cuda.Addr] = (*Vectors)(nil)

// NewVectors makes vectors of n elements of float32. ctx bounds the calls of the device.
func NewVectors(ctx context.Context, dev *cuda.Device, set *kernels.Set, s cuda.Stream,
	n int) *Vectors {
	return &Vectors{ctx: ctx, dev: dev, set: set, stream: s, n: n}
}

// Take implements tree.Vectors.
func (v *Vectors) Take() (cuda.Addr, error) {
	if k := len(v.free); k > 0 {
		x := v.free[k-1]
		v.free = v.free[:k-1]
		return x, nil
	}
	return v.dev.Alloc(v.ctx, int64(4*v.n), "partial sums")
}

// Give implements tree.Vectors. What is under way on the stream may still use x: so will the next
// user of it, behind.
func (v *Vectors) Give(x cuda.Addr) { v.free = append(v.free, x) }

// Copy implements tree.Vectors.
func (v *Vectors) Copy(dst, src cuda.Addr) error {
	return v.run(func(l *cuda.List) { l.Copy(v.stream, dst, src, int64(4*v.n)) })
}

// Add implements tree.Vectors.
func (v *Vectors) Add(dst, a, b cuda.Addr) error {
	return v.run(func(l *cuda.List) { v.set.AddF32(l, v.stream, dst, a, b, int64(v.n)) })
}

func (v *Vectors) run(put func(*cuda.List)) error {
	l := v.dev.NewList()
	defer l.Free()
	put(l)
	return v.dev.Run(v.ctx, l)
}

// Close gives back the vectors that were given to it.
func (v *Vectors) Close() error {
	for _, x := range v.free {
		if err := v.dev.Free(v.ctx, x); err != nil {
			return fmt.Errorf("free partial sums: %w", err)
		}
	}
	v.free = nil
	return nil
}
