package tree

import "fmt"

// Floats is Vectors in Go's memory, added in plain Go, with a list of free ones.
type Floats struct {
	size int
	free [][]float32
}

var _ Vectors[[]float32] = (*Floats)(nil)

// NewFloats makes Vectors of size elements.
func NewFloats(size int) *Floats { return &Floats{size: size} }

// Take implements Vectors.
func (f *Floats) Take() ([]float32, error) {
	if n := len(f.free); n > 0 {
		v := f.free[n-1]
		f.free = f.free[:n-1]
		return v, nil
	}
	return make([]float32, f.size), nil
}

// Give implements Vectors.
func (f *Floats) Give(v []float32) { f.free = append(f.free, v) }

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
	for i, x := range a {
		dst[i] = x + b[i]
	}
	return nil
}
