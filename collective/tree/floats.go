package tree

import (
	"fmt"
	"sync"
)

// Floats is Vectors in Go's memory, with a list of free ones, for any number of goroutines.
type Floats struct {
	size int
	add  func(dst, a, b []float32)
	mu   sync.Mutex
	free [][]float32
}

var _ Vectors[[]float32] = (*Floats)(nil)

// NewFloats makes Vectors of size elements. add sets dst = a + b, one rounding an element, and may
// be called by several goroutines; PlainAdd is one.
func NewFloats(size int, add func(dst, a, b []float32)) *Floats {
	return &Floats{size: size, add: add}
}

// FloatsBySize makes the Floats of a size when they are first asked for, for NewPieces: sums that
// get the same share free vectors. What it answers is for one goroutine at a time.
func FloatsBySize(add func(dst, a, b []float32)) func(size int) Vectors[[]float32] {
	of := map[int]*Floats{}
	return func(size int) Vectors[[]float32] {
		if of[size] == nil {
			of[size] = NewFloats(size, add)
		}
		return of[size]
	}
}

// PlainAdd is addition in plain Go.
func PlainAdd(dst, a, b []float32) {
	for i, x := range a {
		dst[i] = x + b[i]
	}
}

// Take implements Vectors.
func (f *Floats) Take() ([]float32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		v := f.free[n-1]
		f.free = f.free[:n-1]
		return v, nil
	}
	return make([]float32, f.size), nil
}

// Give implements Vectors.
func (f *Floats) Give(v []float32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = append(f.free, v)
}

// Copy implements Vectors.
func (f *Floats) Copy(dst, src []float32) error {
	if len(src) != f.size {
		return fmt.Errorf("vector has %d elements, the sum has %d", len(src), f.size)
	}
	copy(dst, src)
	return nil
}

// Add implements Vectors.
func (f *Floats) Add(dst, a, b []float32) error {
	if len(a) != f.size || len(b) != f.size {
		return fmt.Errorf("vectors have %d and %d elements, the sum has %d",
			len(a), len(b), f.size)
	}
	f.add(dst, a, b)
	return nil
}
