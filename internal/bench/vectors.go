package main

import (
	"unsafe"

	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// vectors is the memory and the arithmetic of a tree.Sum, of the backend.
type vectors struct {
	be   kernel.Backend
	n    int
	free []kernel.Tensor
}

var _ tree.Vectors[kernel.Tensor] = (*vectors)(nil)

// Take implements tree.Vectors.
func (v *vectors) Take() (kernel.Tensor, error) {
	if k := len(v.free); k > 0 {
		t := v.free[k-1]
		v.free = v.free[:k-1]
		return t, nil
	}
	return v.be.Alloc(v.n, kernel.F32)
}

// Give implements tree.Vectors.
func (v *vectors) Give(t kernel.Tensor) { v.free = append(v.free, t) }

// Copy implements tree.Vectors.
func (v *vectors) Copy(dst, src kernel.Tensor) error {
	copy(v.be.Host(dst), v.be.Host(src))
	return nil
}

// Add implements tree.Vectors.
func (v *vectors) Add(dst, a, b kernel.Tensor) error {
	return v.be.Run([]kernel.Op{kernel.Add(dst, a, b)})
}

// bytesOf is the memory of v.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}
