package tree

// Range is a half-open range of integers, [Lo, Hi).
type Range struct{ Lo, Hi int }

// Len is the number of integers in r.
func (r Range) Len() int { return r.Hi - r.Lo }

// part is the k-th of w contiguous parts of 0..n-1. Parts differ in length by at most one.
func part(k, w, n int) Range {
	return Range{Lo: scale(k, n, w), Hi: scale(k+1, n, w)}
}

// scale is floor(k*n/w) without forming k*n, which may overflow. It needs 0 <= k <= w, w > 0.
func scale(k, n, w int) int {
	return n/w*k + n%w*k/w
}

// MicroBatches is the range of micro-batches that leaf (of leaves) adds up, of a step of micro.
func MicroBatches(leaf, leaves, micro int) Range { return part(leaf, leaves, micro) }

// Leaves is the range of leaves that rank (of world) serves. It needs world <= leaves for every
// rank to have at least one.
func Leaves(rank, world, leaves int) Range { return part(rank, world, leaves) }

// Shard is the range of chunks of a unit that rank (of world) owns; it may be empty.
func Shard(rank, world, chunks int) Range { return part(rank, world, chunks) }

// split is the first leaf of the right child of node [lo, hi), hi-lo >= 2.
func split(lo, hi int) int { return lo + (hi-lo+1)/2 }

// Buffers is the number of vectors that a Sum of leaves holds at worst when world ranks deliver,
// each its own leaves in order, at speeds of their own. It is exact when leaves have two or more
// micro-batches, and an upper bound otherwise. `banyan plan` prints it times the shard's bytes.
//
// Each rank holds at worst its complete subtrees and one leaf under way; no subtree can span two
// ranks while the left one has a leaf under way, so the ranks' worst cases add up.
func Buffers(leaves, world int) int {
	total := 0
	for rank := range world {
		total += OwnBuffers(leaves, Leaves(rank, world, leaves))
	}
	return total
}

// OwnBuffers is the number of vectors that a Sum holds at worst to which only the leaves of own
// come, in order: those of a rank that adds what it can before it sends anything. Exact as Buffers
// is.
func OwnBuffers(leaves int, own Range) int {
	worst := 0
	for under := own.Lo; under < own.Hi; under++ {
		worst = max(worst, 1+len(Subtrees(leaves, Range{own.Lo, under})))
	}
	return worst
}

// Subtrees lists the maximal complete subtrees of the tree over leaves that lie inside own, from
// left to right: with its own leaves, a rank can add up these and no more.
func Subtrees(leaves int, own Range) []Range {
	return cover(nil, Range{0, leaves}, own)
}

// cover appends the maximal subtrees of node n that lie inside own.
func cover(to []Range, n, own Range) []Range {
	switch {
	case own.Lo >= own.Hi || own.Hi <= n.Lo || n.Hi <= own.Lo:
		return to
	case own.Lo <= n.Lo && n.Hi <= own.Hi:
		return append(to, n)
	}
	mid := split(n.Lo, n.Hi)
	return cover(cover(to, Range{n.Lo, mid}, own), Range{mid, n.Hi}, own)
}
