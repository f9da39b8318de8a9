package tree

import (
	"errors"
	"fmt"
)

// ErrOrder is in the chain of every error of Put and PutSubtree about a partial that the tree has
// no place for now.
var ErrOrder = errors.New("partial out of order")

// Vectors is the arithmetic and the memory of the vectors that a Sum adds, all of one length.
type Vectors[V any] interface {
	// Take returns a vector of any contents, Give takes one back.
	Take() (V, error)
	Give(V)
	Copy(dst, src V) error
	// Add stores a[i] + b[i], rounded once, in dst[i]; dst may be a or b.
	Add(dst, a, b V) error
}

// Claim says what a Sum may do with a partial.
type Claim uint8

const (
	// Lent: it is read before Put returns and not kept.
	Lent Claim = iota
	// Given: it belongs to the Sum, which keeps it or gives it to Vectors.Give.
	Given
	// Kept: the Sum may keep and change it until Reset, but never gives it to Vectors.Give. Where
	// one of two addends is Kept, the sum goes there, of two into the left: so the result is in the
	// leftmost. The first partial of a leaf can be Kept, and a subtree; of later ones it means
	// Lent.
	Kept
)

// node is one node of the fixed tree.
type node struct {
	lo, hi      int // its leaves
	parent      int // index, -1 for the root
	left, right int // indices, inner nodes only
}

// shape is the fixed tree over a number of leaves: nodes[0] is the root.
type shape struct {
	nodes []node
	leaf  []int // leaf number -> index in nodes
}

// slot is what has come for a node.
type slot[V any] struct {
	buf         V
	held        bool  // buf is set
	claim       Claim // of buf: Given or Kept
	complete    bool  // Invariant: buf, if held, is the node's final sum and nobody adds to it
	next, count int   // leaves only: partials taken, partials expected (0 before the first)
}

// Sum adds the partials of one vector over the fixed tree. It is not safe for concurrent use.
type Sum[V any] struct {
	*shape
	vectors Vectors[V]
	slots   []slot[V] // by node
	live    int       // slots that hold a vector
	peak    int
}

// NewSum makes a Sum over the given number of leaves (at least 1). It panics if there are fewer,
// which no input of a user can bring about: a resolved run has been checked.
func NewSum[V any](leaves int, vectors Vectors[V]) *Sum[V] {
	if leaves < 1 || vectors == nil {
		panic(fmt.Sprintf("tree.NewSum: leaves %d, vectors set: %t", leaves, vectors != nil))
	}
	s := newSum(newShape(leaves), vectors)
	return &s
}

func newSum[V any](of *shape, vectors Vectors[V]) Sum[V] {
	return Sum[V]{shape: of, vectors: vectors, slots: make([]slot[V], len(of.nodes))}
}

func newShape(leaves int) *shape {
	s := &shape{leaf: make([]int, leaves)}
	s.grow(-1, 0, leaves)
	return s
}

// grow appends node [lo, hi) and its subtree, and returns its index.
func (s *shape) grow(parent, lo, hi int) int {
	at := len(s.nodes)
	s.nodes = append(s.nodes, node{lo: lo, hi: hi, parent: parent})
	if hi-lo == 1 {
		s.leaf[lo] = at
		return at
	}
	mid := split(lo, hi)
	left := s.grow(at, lo, mid)
	right := s.grow(at, mid, hi)
	s.nodes[at].left, s.nodes[at].right = left, right
	return at
}

// Put adds the index-th of count micro-batch partials of leaf. Partials of one leaf come in order;
// those of different leaves in any order. After an error in the chain of ErrOrder s is unchanged
// and the partial is still the caller's; after another, which comes from Vectors, s is of no more
// use.
func (s *Sum[V]) Put(leaf, index, count int, partial V, claim Claim) error {
	if leaf < 0 || leaf >= len(s.leaf) {
		return fmt.Errorf("put partial: %w: leaf %d of %d", ErrOrder, leaf, len(s.leaf))
	}
	at := s.leaf[leaf]
	n := &s.slots[at]
	switch {
	case index >= count || index != n.next || (n.count != 0 && count != n.count):
		return fmt.Errorf("put partial: %w: leaf %d got %d of %d, wants %d of %d",
			ErrOrder, leaf, index, count, n.next, max(n.count, 1))
	case s.covered(at):
		return fmt.Errorf("put partial: %w: leaf %d is in a subtree that is complete",
			ErrOrder, leaf)
	}
	n.next, n.count = index+1, count
	last := n.next == n.count
	if index == 0 {
		if last {
			return s.finish(at, partial, claim)
		}
		return s.hold(at, partial, claim)
	}
	sum := n.buf
	if err := s.vectors.Add(sum, sum, partial); err != nil {
		return fmt.Errorf("put partial: %w", err)
	}
	if claim == Given {
		s.vectors.Give(partial)
	}
	if !last {
		return nil
	}
	s.drop(at)
	return s.finish(at, sum, n.claim)
}

// PutSubtree is Put of all partials of a complete subtree, added up by another Sum: r is one of
// Subtrees.
func (s *Sum[V]) PutSubtree(r Range, sum V, claim Claim) error {
	at, ok := s.find(r)
	if !ok {
		return fmt.Errorf("put subtree: %w: leaves [%d,%d) are no subtree of %d leaves",
			ErrOrder, r.Lo, r.Hi, len(s.leaf))
	}
	touched := s.covered(at)
	for _, leaf := range s.leaf[r.Lo:r.Hi] {
		touched = touched || s.slots[leaf].next > 0 || s.covered(leaf)
	}
	if touched {
		return fmt.Errorf("put subtree: %w: some of leaves [%d,%d) have come before",
			ErrOrder, r.Lo, r.Hi)
	}
	return s.finish(at, sum, claim)
}

// finish marks node at complete with sum v and adds it upwards as far as siblings are complete.
func (s *Sum[V]) finish(at int, v V, claim Claim) error {
	for {
		s.slots[at].complete = true
		up := s.nodes[at].parent
		if up < 0 {
			break
		}
		l, r := s.nodes[up].left, s.nodes[up].right
		if !s.slots[l].complete || !s.slots[r].complete {
			break
		}
		sibling := l
		if at == l {
			sibling = r
		}
		other := s.slots[sibling]
		// Left plus right, always: the order of operands shows in the bits of a NaN.
		a, b := other.buf, v
		if at == l {
			a, b = v, other.buf
		}
		into, spare := other, slot[V]{buf: v, claim: claim}
		if claim == Kept && (at == l || other.claim != Kept) {
			into, spare = spare, into
		}
		if err := s.vectors.Add(into.buf, a, b); err != nil {
			return fmt.Errorf("add partials: %w", err)
		}
		s.drop(sibling)
		if spare.claim == Given {
			s.vectors.Give(spare.buf)
		}
		at, v, claim = up, into.buf, into.claim
	}
	return s.hold(at, v, claim)
}

// covered reports whether a node or one above it is complete.
func (s *Sum[V]) covered(at int) bool {
	for ; at >= 0; at = s.nodes[at].parent {
		if s.slots[at].complete {
			return true
		}
	}
	return false
}

// find is the node with exactly these leaves.
func (s *shape) find(r Range) (at int, ok bool) {
	if r.Lo < 0 || r.Hi > len(s.leaf) || r.Lo >= r.Hi {
		return 0, false
	}
	for {
		n := s.nodes[at]
		switch {
		case n.lo == r.Lo && n.hi == r.Hi:
			return at, true
		case n.hi-n.lo == 1:
			return 0, false
		case r.Lo < s.nodes[n.right].lo:
			at = n.left
		default:
			at = n.right
		}
	}
}

// Done reports whether every leaf is complete.
func (s *Sum[V]) Done() bool { return s.slots[0].complete }

// Result is the sum over all leaves; ok is false while a leaf is incomplete. It belongs to s and is
// valid until Reset; the caller may change its elements.
func (s *Sum[V]) Result() (v V, ok bool) { return s.slots[0].buf, s.slots[0].complete }

// Subtree is the sum of a complete subtree whose sibling is not complete yet, as Result.
func (s *Sum[V]) Subtree(r Range) (v V, ok bool) {
	at, ok := s.find(r)
	if !ok || !s.slots[at].complete || !s.slots[at].held {
		return v, false
	}
	return s.slots[at].buf, true
}

// Missing is the lowest leaf that is not complete; ok is false if there is none.
func (s *Sum[V]) Missing() (leaf int, ok bool) {
	for v, at := range s.leaf {
		if !s.covered(at) {
			return v, true
		}
	}
	return 0, false
}

// Reset forgets every partial and gives back every vector.
func (s *Sum[V]) Reset() {
	for i := range s.slots {
		if s.slots[i].held {
			if s.slots[i].claim == Given {
				s.vectors.Give(s.slots[i].buf)
			}
			s.drop(i)
		}
		s.slots[i].complete = false
		s.slots[i].next, s.slots[i].count = 0, 0
	}
}

// Peak is the largest number of vectors that s held at once since NewSum.
func (s *Sum[V]) Peak() int { return s.peak }

// hold keeps v for a node: v itself, or a copy of what is only lent.
func (s *Sum[V]) hold(at int, v V, claim Claim) error {
	if claim == Lent {
		c, err := s.vectors.Take()
		if err != nil {
			return fmt.Errorf("keep partial: %w", err)
		}
		if err := s.vectors.Copy(c, v); err != nil {
			return fmt.Errorf("keep partial: %w", err)
		}
		v, claim = c, Given
	}
	s.slots[at].buf, s.slots[at].claim, s.slots[at].held = v, claim, true
	s.live++
	s.peak = max(s.peak, s.live)
	return nil
}

func (s *Sum[V]) drop(at int) {
	var none V
	s.slots[at].buf, s.slots[at].held = none, false
	s.live--
}
