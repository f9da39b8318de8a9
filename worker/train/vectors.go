package train

import (
	"fmt"
	"sync"

	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// vectors hands out F32 tensors of one length and adds them. It implements tree.Vectors: the
// reduction's one operation, with one rounding an element, is the backend's Add.
type vectors struct {
	backend kernel.Backend
	n       int // elements
	free    []kernel.Tensor
}

var _ tree.Vectors[kernel.Tensor] = (*vectors)(nil)

// Take implements tree.Vectors.
func (v *vectors) Take() (kernel.Tensor, error) {
	if n := len(v.free); n > 0 {
		x := v.free[n-1]
		v.free = v.free[:n-1]
		return x, nil
	}
	x, err := v.backend.Alloc(v.n, kernel.F32)
	if err != nil {
		return x, fmt.Errorf("allocate gradient: %w", err)
	}
	return x, nil
}

// Give implements tree.Vectors.
func (v *vectors) Give(x kernel.Tensor) { v.free = append(v.free, x) }

// Copy implements tree.Vectors.
func (v *vectors) Copy(dst, src kernel.Tensor) error {
	if v.n == 0 {
		return nil
	}
	return v.backend.Run([]kernel.Op{kernel.Copy(dst, src)})
}

// Add implements tree.Vectors.
func (v *vectors) Add(dst, a, b kernel.Tensor) error {
	if v.n == 0 {
		return nil
	}
	return v.backend.Run([]kernel.Op{kernel.Add(dst, a, b)})
}

// pools keeps vectors by length, so that units of one size share theirs.
type pools struct {
	backend kernel.Backend
	of      map[int]*vectors
}

func (p *pools) get(n int) *vectors {
	v := p.of[n]
	if v == nil {
		v = &vectors{backend: p.backend, n: n}
		p.of[n] = v
	}
	return v
}

// addends are pieces of n elements that wait for others, in the memory that the group works in, and
// the same operation on them. They are for any number of goroutines.
type addends struct {
	backend kernel.Backend
	n       int
	mu      sync.Mutex
	free    [][]float32
}

var _ tree.Vectors[[]float32] = (*addends)(nil)

// Take implements tree.Vectors.
func (a *addends) Take() ([]float32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		v := a.free[n-1]
		a.free = a.free[:n-1]
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
	a.backend.HostAdd(dst, x, y)
	return nil
}
