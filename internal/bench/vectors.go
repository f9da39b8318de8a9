package main

import (
	"sync"
	"unsafe"

	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// addends is the memory and the arithmetic of the pieces of a sum, of the backend.
type addends struct {
	be   kernel.Backend
	n    int
	mu   sync.Mutex
	free [][]float32
}

var _ tree.Vectors[[]float32] = (*addends)(nil)

// Take implements tree.Vectors.
func (a *addends) Take() ([]float32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := len(a.free); k > 0 {
		v := a.free[k-1]
		a.free = a.free[:k-1]
		return v, nil
	}
	return make([]float32, a.n), nil
}

// Give implements tree.Vectors.
func (a *addends) Give(v []float32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, v)
}

// Copy implements tree.Vectors.
func (a *addends) Copy(dst, src []float32) error {
	copy(dst, src)
	return nil
}

// Add implements tree.Vectors.
func (a *addends) Add(dst, x, y []float32) error {
	a.be.HostAdd(dst, x, y)
	return nil
}

// bytesOf is the memory of v.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}
