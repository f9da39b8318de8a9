package kernels

import "fmt"

// MaxParts is how many vectors one SumParts adds, and MaxDepth how many sums it keeps at once.
const (
	MaxParts = 32
	MaxDepth = 8
)

// Order says in which order parts are added, as a program for a stack: the parts come in order, and
// Add adds the two on top, the lower one to the left. The zero Order has no parts yet.
type Order struct {
	program               uint64
	steps, parts          int
	depth, deepest        int
	underflow, tooManyOps bool
}

// Push puts the next part on the stack.
func (o *Order) Push() {
	o.step(0)
	o.parts++
	o.depth++
	o.deepest = max(o.deepest, o.depth)
}

// Add adds the two on top.
func (o *Order) Add() {
	o.step(1)
	if o.depth--; o.depth < 1 {
		o.underflow = true
	}
}

func (o *Order) step(bit uint64) {
	if o.steps >= 64 {
		o.tooManyOps = true
		return
	}
	o.program |= bit << o.steps
	o.steps++
}

// Parts is the number of vectors that o adds.
func (o *Order) Parts() int { return o.parts }

// check says what is wrong with an order, if anything.
func (o *Order) check() error {
	switch {
	case o.parts < 1 || o.parts > MaxParts || o.tooManyOps:
		return fmt.Errorf("order of %d parts: want 1 to %d", o.parts, MaxParts)
	case o.underflow || o.depth != 1:
		return fmt.Errorf("order of %d parts and %d steps does not end in one sum", o.parts, o.steps)
	case o.deepest > MaxDepth:
		return fmt.Errorf("order keeps %d sums at once: at most %d", o.deepest, MaxDepth)
	}
	return nil
}

// Left is ((p0 + p1) + p2) + .. of n parts.
func Left(n int) Order {
	var o Order
	for i := range n {
		o.Push()
		if i > 0 {
			o.Add()
		}
	}
	return o
}

// Tree is the sum over the leaves lo to hi-1, a part each, of a tree whose node [lo, hi) has
// split(lo, hi) for the first leaf of its right child: that of collective/tree.
func Tree(lo, hi int, split func(lo, hi int) int) Order {
	var o Order
	o.node(lo, hi, split)
	return o
}

func (o *Order) node(lo, hi int, split func(lo, hi int) int) {
	if hi-lo == 1 {
		o.Push()
		return
	}
	mid := split(lo, hi)
	o.node(lo, mid, split)
	o.node(mid, hi, split)
	o.Add()
}
