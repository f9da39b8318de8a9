package tree

import (
	"errors"
	"fmt"
)

// ErrOrder is in the chain of every error of Put: a partial that the tree has no place for now.
var ErrOrder = errors.New("partial out of order")

// node is one node of the fixed tree. Leaves count their partials in next.
type node struct {
	leaf        int // number of the leaf, -1 for an inner node
	parent      int // index, -1 for the root
	left, right int // indices, inner nodes only
	next, count int // leaves only: partials taken, partials expected (0 before the first)
	buf         []float32
	complete    bool // Invariant: buf, if set, is the node's final sum and nobody adds to it
}

// Sum adds the partials of one vector over the fixed tree. It is not safe for concurrent use.
type Sum struct {
	size  int
	add   func(dst, a, b []float32)
	nodes []node // nodes[0] is the root
	leaf  []int  // leaf number -> index in nodes
	free  [][]float32
	live  int // buffers in use
	peak  int
}

// NewSum makes a Sum of vectors of size elements over the given number of leaves (at least 1).
// add must store a[i] + b[i], rounded once, in dst[i]; dst may be a or b. It panics if leaves < 1
// or size < 0, which no input of a user can bring about: a resolved run has been checked.
func NewSum(leaves, size int, add func(dst, a, b []float32)) *Sum {
	if leaves < 1 || size < 0 || add == nil {
		panic(fmt.Sprintf("tree.NewSum: leaves %d, size %d, add set: %t", leaves, size, add != nil))
	}
	s := &Sum{size: size, add: add, leaf: make([]int, leaves)}
	s.grow(-1, 0, leaves)
	return s
}

// grow appends node [lo, hi) and its subtree, and returns its index.
func (s *Sum) grow(parent, lo, hi int) int {
	at := len(s.nodes)
	s.nodes = append(s.nodes, node{leaf: -1, parent: parent})
	if hi-lo == 1 {
		s.nodes[at].leaf, s.leaf[lo] = lo, at
		return at
	}
	mid := split(lo, hi)
	left := s.grow(at, lo, mid)
	right := s.grow(at, mid, hi)
	s.nodes[at].left, s.nodes[at].right = left, right
	return at
}

// Put adds the index-th of count micro-batch partials of leaf. Partials of one leaf come in order;
// those of different leaves in any order. partial has size elements; it is read before Put
// returns and not kept, so the caller may reuse it at once. After an error s is unchanged.
func (s *Sum) Put(leaf, index, count int, partial []float32) error {
	if leaf < 0 || leaf >= len(s.leaf) {
		return fmt.Errorf("put partial: %w: leaf %d of %d", ErrOrder, leaf, len(s.leaf))
	}
	n := &s.nodes[s.leaf[leaf]]
	switch {
	case len(partial) != s.size:
		return fmt.Errorf("put partial: leaf %d has %d elements, the sum has %d",
			leaf, len(partial), s.size)
	case index >= count || index != n.next || (n.count != 0 && count != n.count):
		return fmt.Errorf("put partial: %w: leaf %d got %d of %d, wants %d of %d",
			ErrOrder, leaf, index, count, n.next, max(n.count, 1))
	}
	n.next, n.count = index+1, count
	last := n.next == n.count
	switch {
	case last && index == 0:
		s.finish(s.leaf[leaf], partial, false) // added to its sibling straight from partial
	case index == 0:
		n.buf = s.take()
		copy(n.buf, partial)
	default:
		s.add(n.buf, n.buf, partial)
		if last {
			s.finish(s.leaf[leaf], n.buf, true)
		}
	}
	return nil
}

// finish marks node at complete with sum v and adds it upwards as far as siblings are complete.
// owned tells whether v is one of s's buffers; if not, it is only read.
func (s *Sum) finish(at int, v []float32, owned bool) {
	for {
		n := &s.nodes[at]
		n.complete, n.buf = true, nil
		up := n.parent
		if up < 0 {
			break
		}
		l, r := &s.nodes[s.nodes[up].left], &s.nodes[s.nodes[up].right]
		if !l.complete || !r.complete {
			break
		}
		// Left plus right, always: the order of operands shows in the bits of a NaN.
		sibling := l
		if n == l {
			sibling = r
			s.add(r.buf, v, r.buf)
		} else {
			s.add(l.buf, l.buf, v)
		}
		sum := sibling.buf
		sibling.buf = nil
		if owned {
			s.give(v)
		}
		at, v, owned = up, sum, true
	}
	if !owned {
		own := s.take()
		copy(own, v)
		v = own
	}
	s.nodes[at].buf = v
}

// Done reports whether every leaf is complete.
func (s *Sum) Done() bool { return s.nodes[0].complete }

// Result is the sum over all leaves, nil while a leaf is incomplete. It belongs to s and is valid
// until Reset; the caller may change its elements.
func (s *Sum) Result() []float32 {
	if !s.Done() {
		return nil
	}
	return s.nodes[0].buf
}

// Missing is the lowest leaf that is not complete; ok is false if there is none.
func (s *Sum) Missing() (leaf int, ok bool) {
	for v, at := range s.leaf {
		if n := &s.nodes[at]; n.count == 0 || n.next < n.count {
			return v, true
		}
	}
	return 0, false
}

// Reset forgets every partial and keeps the buffers for the next step.
func (s *Sum) Reset() {
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.buf != nil {
			s.give(n.buf)
		}
		n.buf, n.next, n.count, n.complete = nil, 0, 0, false
	}
}

// Peak is the largest number of buffers that were in use at once since NewSum.
func (s *Sum) Peak() int { return s.peak }

func (s *Sum) take() []float32 {
	s.live++
	s.peak = max(s.peak, s.live)
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b
	}
	return make([]float32, s.size)
}

func (s *Sum) give(b []float32) {
	s.live--
	s.free = append(s.free, b)
}
