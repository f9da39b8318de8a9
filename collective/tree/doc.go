// Package tree is the arithmetic of the reproducible reduction: who owns what, and in which order
// partial sums are added. It is pure: no clock, no network, no disk, no logger.
//
// A step has micro micro-batches. They are dealt to V leaves (the logical shards of the run), each
// leaf a contiguous range; the leaves are dealt to W ranks, each rank a contiguous range; the
// chunks of a unit are dealt to the ranks in the same way. All three are floor(k*n/w), so nobody
// needs to be told the result.
//
// The sum of a step does not depend on W, nor on the order in which ranks deliver:
//
//	leaf   = ((p0 + p1) + p2) + ...     its micro-batch partials, left to right
//	[0,5)  = [0,3) + [3,5)              node [lo,hi) splits at lo + ceil((hi-lo)/2)
//	         /   \     /  \
//	     [0,2)   2    3    4
//	     /   \
//	    0     1
//
// The tree is fixed for every V, a power of two or not. Sum holds it as a counter: a node is added
// the moment both its children are complete, so few buffers live at once (Buffers).
//
// Use: one Sum a vector; Put every partial as it arrives; Result after the last; Reset for the next
// step. The adds are done by a callback, one rounding an element (the kernel's Add). Pieces is a
// Sum for partials that arrive in pieces, and leaves the result in the first partial of the rank
// itself, which needs no other memory for it.
//
// Invariant (I3): Result is the same bits for every W and every arrival order, as long as the
// partials of each single leaf arrive in order. The first partial of a leaf is copied, not added
// to zero: (+0) + (-0) is +0, and the bits would depend on it.
package tree
