package model

import "github.com/banyan-train/banyan/worker/kernel"

// Freeze says which parameters are not trained: Backward leaves out the products that make the
// gradients of their matrices and sets these to 0. All other gradients keep their bits; those of
// norms and biases are cheap and always made. It holds until the next call; nil: all are trained.
func (m *Model) Freeze(frozen func(param string) bool) {
	m.frozen = frozen
	clear(m.programs)
}

// isFrozen says whether the gradient of a unit's i-th parameter is left out.
func (m *Model) isFrozen(unit, i int) bool {
	return m.frozen != nil && m.frozen(m.units[unit].Params[i].Name)
}

// trained are a block's gradients without the matrices that are frozen, and what sets these to 0.
func (m *Model) trained(unit int, g weights) (weights, []kernel.Op) {
	var zero []kernel.Op
	matrices := [...]*kernel.Tensor{1: &g.q, 2: &g.k, 3: &g.v, 4: &g.o, 6: &g.gate, 7: &g.up,
		8: &g.down}
	for i, dw := range matrices { // in the order of Unit.Params
		if dw != nil && m.isFrozen(unit, i) {
			zero = append(zero, kernel.Fill(*dw, 0))
			*dw = kernel.Tensor{}
		}
	}
	return g, zero
}

// tableFrozen says whether the head's matrix, its own or the embedding's, is frozen.
func (m *Model) tableFrozen() bool {
	if m.d.tied {
		return m.isFrozen(0, 0)
	}
	return m.isFrozen(len(m.units)-1, 1)
}
