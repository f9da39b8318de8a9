package tokenize

import (
	search "github.com/banyan-train/banyan/dataset/tokenize/pieces"
)

// Merging a word: of all neighbours that merge, the pair of the lowest rank does first, the
// leftmost of equals, until none merges. Two ways give the same ids: short words rescan a small
// array, which beats any structure up to some hundred bytes; long words use a heap, so that one
// 16 MiB word without a space costs n log n and not n^2.

// shortWord is the longest word, in bytes, that is rescanned. Measured on Chinese clauses.
const shortWord = 128

// keepScratch is the largest long-word buffer, in entries, kept between calls.
const keepScratch = 1 << 16

// mergeScratch holds the buffers of one call.
type mergeScratch struct {
	ids   [shortWord]int32
	ranks [shortWord]uint64 // ranks[i]: what ids[i], ids[i+1] merge into
	nodes []mergeNode
	heap  search.Heap // rank<<32 | node
}

// mergeNode is a token of a long word in a doubly linked list.
type mergeNode struct {
	id         int32 // -1: merged into its left neighbour
	prev, next int32 // -1: none
	merge      uint64
}

// encodeWord appends the ids of one word of at least one byte, or of a piece of a word.
func (m *model) encodeWord(dst []int32, word string, whole bool, sc *mergeScratch) []int32 {
	if whole && m.words != nil {
		if id, ok := m.words[word]; ok {
			return append(dst, id)
		}
	}
	if len(word) > shortWord {
		return m.mergeLong(dst, word, sc)
	}
	return m.mergeShort(dst, word, sc)
}

func (m *model) mergeShort(dst []int32, word string, sc *mergeScratch) []int32 {
	n, ok := m.maybeChars(word, sc.ids[:])
	if !ok {
		n = len(word)
		for i := range n {
			sc.ids[i] = m.first[word[i]]
		}
	}
	n, _ = m.mergeIDs(sc.ids[:n], sc)
	return append(dst, sc.ids[:n]...)
}

// mergeIDs merges ids, at most shortWord of them, in place. It returns how many are left, and the
// rank of the last merge, -1 for none.
func (m *model) mergeIDs(ids []int32, sc *mergeScratch) (n int, last int64) {
	n, last = len(ids), -1
	ranks := sc.ranks[:n]
	for i := range n - 1 {
		ranks[i] = m.pairs.get(ids[i], ids[i+1])
	}
	for n > 1 {
		best, at := noMerge, 0
		for i, r := range ranks[:n-1] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noMerge {
			break
		}
		ids[at], last = int32(uint32(best)), max(last, int64(best>>32))
		copy(ids[at+1:n-1], ids[at+2:n])
		copy(ranks[at:n-2], ranks[at+1:n-1])
		n--
		if at > 0 {
			ranks[at-1] = m.pairs.get(ids[at-1], ids[at])
		}
		if at < n-1 {
			ranks[at] = m.pairs.get(ids[at], ids[at+1])
		}
	}
	return n, last
}

func (m *model) mergeLong(dst []int32, word string, sc *mergeScratch) []int32 {
	sc.fill(m, word)
	nodes := sc.nodes
	for len(sc.heap) > 0 {
		top := sc.heap.Pop()
		at := int32(uint32(top))
		left := &nodes[at]
		// Stale: this pair is gone. A pair at one place never comes back with the same rank.
		if left.id < 0 || left.next < 0 || left.merge>>32 != top>>32 {
			continue
		}
		right := &nodes[left.next]
		left.id, right.id = int32(uint32(left.merge)), -1
		left.next = right.next
		if left.next >= 0 {
			nodes[left.next].prev = at
		}
		sc.rank(m, at)
		if left.prev >= 0 {
			sc.rank(m, left.prev)
		}
	}
	for i := int32(0); i >= 0; i = nodes[i].next {
		dst = append(dst, nodes[i].id)
	}
	if cap(sc.nodes) > keepScratch {
		sc.nodes, sc.heap = nil, nil
	}
	return dst
}

func (sc *mergeScratch) fill(m *model, word string) {
	sc.nodes, sc.heap = sc.nodes[:0], sc.heap[:0]
	for i := range len(word) {
		sc.nodes = append(sc.nodes,
			mergeNode{id: m.first[word[i]], prev: int32(i - 1), next: int32(i + 1)})
	}
	sc.nodes[len(word)-1].next = -1
	for i := range len(word) {
		sc.rank(m, int32(i))
	}
}

// rank looks up what the pair at node i merges into, and queues it.
func (sc *mergeScratch) rank(m *model, i int32) {
	node := &sc.nodes[i]
	node.merge = noMerge
	if node.next < 0 {
		return
	}
	node.merge = m.pairs.get(node.id, sc.nodes[node.next].id)
	if node.merge != noMerge {
		sc.heap.Push(node.merge>>32<<32 | uint64(uint32(i)))
	}
}
