package train

import (
	"fmt"

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
