package merge

import "iter"

// Most is the longest stretch, in symbols, that Short takes. Measured on Chinese clauses.
const Most = 128

// Ranks is what Short works with.
type Ranks [Most]uint64

// Short merges symbols, at most Most of them, in place. It returns how many are left, and the rank
// of the highest merge, -1 for none.
func (t *Table) Short(symbols []int32, r *Ranks) (n int, highest int64) {
	n, highest = len(symbols), -1
	ranks := r[:n]
	for i := range n - 1 {
		ranks[i] = t.Get(symbols[i], symbols[i+1])
	}
	for n > 1 {
		best, at := None, 0
		for i, r := range ranks[:n-1] {
			if r>>32 < best>>32 {
				best, at = r, i
			}
		}
		if best == None {
			break
		}
		symbols[at], highest = int32(uint32(best)), max(highest, int64(best>>32))
		copy(symbols[at+1:n-1], symbols[at+2:n])
		copy(ranks[at:n-2], ranks[at+1:n-1])
		n--
		if at > 0 {
			ranks[at-1] = t.Get(symbols[at-1], symbols[at])
		}
		if at < n-1 {
			ranks[at] = t.Get(symbols[at], symbols[at+1])
		}
	}
	return n, highest
}

// List is a stretch of symbols for Long. The zero value is an empty one.
type List struct {
	nodes []node
	heap  heap // rank<<32 | node
}

// node is a symbol in a doubly linked list.
type node struct {
	symbol     int32 // negative: nothing merges with it; gone: merged into its left neighbour
	prev, next int32 // -1: none
	start      int32
	merge      uint64 // what it and the next merge into
}

const gone = -1 << 31

// keepNodes is the longest list whose memory is kept.
const keepNodes = 1 << 16

// Reset empties the list, and gives back the memory of a very long one.
func (l *List) Reset() {
	if cap(l.nodes) > keepNodes {
		l.nodes, l.heap = nil, nil
	}
	l.nodes, l.heap = l.nodes[:0], l.heap[:0]
}

// Add appends a symbol, which is negative if it merges with nothing, and where it starts.
func (l *List) Add(symbol int32, start int) {
	n := int32(len(l.nodes))
	if n > 0 {
		l.nodes[n-1].next = n
	}
	l.nodes = append(l.nodes, node{symbol: symbol, prev: n - 1, next: -1, start: int32(start)})
}

// All are the symbols that are left, in order, and where they start.
func (l *List) All() iter.Seq2[int32, int] {
	return func(yield func(int32, int) bool) {
		for i := 0; i >= 0 && i < len(l.nodes); i = int(l.nodes[i].next) {
			if !yield(l.nodes[i].symbol, int(l.nodes[i].start)) {
				return
			}
		}
	}
}

// Long merges a list. could, unless nil, hears of every pair that comes to stand side by side and
// has a rule, whether it merges in the end or not.
func (t *Table) Long(l *List, could func(left, right, whole int32)) {
	for i := range l.nodes {
		t.queue(l, int32(i), could)
	}
	nodes := l.nodes
	for len(l.heap) > 0 {
		top := l.heap.pop()
		at := int32(uint32(top))
		left := &nodes[at]
		// Stale: this pair is gone. Each side only grows, so one that is here again is this one.
		if left.symbol < 0 || left.next < 0 || left.merge>>32 != top>>32 {
			continue
		}
		right := &nodes[left.next]
		left.symbol, right.symbol = int32(uint32(left.merge)), gone
		left.next = right.next
		if left.next >= 0 {
			nodes[left.next].prev = at
		}
		if left.prev >= 0 {
			t.queue(l, left.prev, could)
		}
		t.queue(l, at, could)
	}
}

// queue looks up what the pair at node i merges into, and queues it.
func (t *Table) queue(l *List, i int32, could func(left, right, whole int32)) {
	left := &l.nodes[i]
	left.merge = None
	if left.next < 0 || left.symbol < 0 || l.nodes[left.next].symbol < 0 {
		return
	}
	right := l.nodes[left.next].symbol
	if left.merge = t.Get(left.symbol, right); left.merge == None {
		return
	}
	l.heap.push(left.merge>>32<<32 | uint64(uint32(i)))
	if could != nil {
		could(left.symbol, right, int32(uint32(left.merge)))
	}
}
