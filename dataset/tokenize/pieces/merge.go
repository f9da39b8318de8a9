package pieces

import "unicode/utf8"

// Of all neighbours that merge, the pair of the lowest rank does first, the leftmost of equals,
// until none merges. Two ways give the same: short segments rescan a small array, which beats any
// structure up to some hundred characters; long ones use a heap, so that one of 16 MiB costs
// n log n and not n^2.

// shortSegment is the longest segment, in characters, that is rescanned.
const shortSegment = 128

// node is a symbol of a long segment in a doubly linked list.
type node struct {
	symbol     int32 // strange: nothing merges with it; gone: merged into its left neighbour
	prev, next int32 // -1: none
	start      int32 // of its text; tracked texts only
	merge      uint64
}

const gone = -2

// mergeShort merges syms in place and returns what remains.
func (m *Merger) mergeShort(syms []int32, ranks *[shortSegment]uint64) []int32 {
	n := len(syms)
	for i := range n - 1 {
		ranks[i] = m.pairs.get(syms[i], syms[i+1])
	}
	for n > 1 {
		best, at := none>>32, 0
		for i, r := range ranks[:n-1] {
			if r>>32 < best {
				best, at = r>>32, i
			}
		}
		if best == none>>32 {
			break
		}
		syms[at] = int32(uint32(ranks[at]))
		copy(syms[at+1:n-1], syms[at+2:n])
		copy(ranks[at:n-2], ranks[at+1:n-1])
		n--
		if at > 0 {
			ranks[at-1] = m.pairs.get(syms[at-1], syms[at])
		}
		if at < n-1 {
			ranks[at] = m.pairs.get(syms[at], syms[at+1])
		}
	}
	return syms[:n]
}

// fill makes the list of a segment.
func (sc *Scratch) fill(syms []int32) {
	sc.nodes = sc.nodes[:0]
	for i, s := range syms {
		sc.nodes = append(sc.nodes, node{symbol: s, prev: int32(i - 1), next: int32(i + 1)})
	}
	if n := len(sc.nodes); n > 0 {
		sc.nodes[n-1].next = -1
	}
}

// mergeLong merges the list. undo, unless nil, gets what each Undo symbol was last made of.
func (m *Merger) mergeLong(sc *Scratch, undo map[int32][2]int32) {
	sc.heap = sc.heap[:0]
	for i := range sc.nodes {
		m.queue(sc, int32(i), undo)
	}
	nodes := sc.nodes
	for len(sc.heap) > 0 {
		top := sc.heap.Pop()
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
			m.queue(sc, left.prev, undo)
		}
		m.queue(sc, at, undo)
	}
}

// queue looks up what the pair at node i merges into, and queues it.
func (m *Merger) queue(sc *Scratch, i int32, undo map[int32][2]int32) {
	left := &sc.nodes[i]
	left.merge = none
	if left.next < 0 || left.symbol < 0 || sc.nodes[left.next].symbol < 0 {
		return
	}
	right := sc.nodes[left.next].symbol
	left.merge = m.pairs.get(left.symbol, right)
	if left.merge == none {
		return
	}
	sc.heap.Push(left.merge>>32<<32 | uint64(uint32(i)))
	if whole := int32(uint32(left.merge)); undo != nil && m.texts[whole].Undo {
		undo[whole] = [2]int32{left.symbol, right}
	}
}

// appendTracked encodes a text of a vocabulary with Undo symbols: in one go, because what such a
// symbol is taken apart into may have been seen anywhere in the text.
func (m *Merger) appendTracked(dst []int32, text []byte, sc *Scratch) []int32 {
	base := len(dst)
	if sc.undo == nil {
		sc.undo = map[int32][2]int32{}
	}
	clear(sc.undo)
	frozen := map[int32]int32{} // by start
	sc.syms, sc.nodes = sc.syms[:0], sc.nodes[:0]
	for i := 0; i < len(text); {
		f, size := m.frozenAt(text, i)
		symbol := int32(strange)
		if f != nil {
			frozen[int32(i)] = f.ID
		} else {
			symbol, _ = m.chars.at(text, i)
		}
		n := int32(len(sc.nodes))
		sc.nodes = append(sc.nodes,
			node{symbol: symbol, prev: n - 1, next: n + 1, start: int32(i)})
		i += size
	}
	if n := len(sc.nodes); n > 0 {
		sc.nodes[n-1].next = -1
	} else {
		return dst
	}
	m.mergeLong(sc, sc.undo)
	for i := int32(0); i >= 0; i = sc.nodes[i].next {
		node := &sc.nodes[i]
		if node.symbol >= 0 {
			dst = m.takeApart(dst, base, node.symbol, sc.undo, 0)
			continue
		}
		if id, ok := frozen[node.start]; ok {
			dst = append(dst, id)
			continue
		}
		_, size := utf8.DecodeRune(text[node.start:])
		dst = m.fallback.append(dst, base, text[node.start:int(node.start)+size])
	}
	return dst
}

// mostApart bounds how often a symbol is taken apart, as in the peer.
const mostApart = 100

func (m *Merger) takeApart(dst []int32, base int, symbol int32, undo map[int32][2]int32, depth int,
) []int32 {
	s := &m.texts[symbol]
	if !s.Undo || depth > mostApart {
		return m.emit(dst, base, symbol)
	}
	halves, ok := undo[symbol]
	if !ok {
		return m.fallback.append(dst, base, []byte(s.Text))
	}
	dst = m.takeApart(dst, base, halves[0], undo, depth+1)
	return m.takeApart(dst, base, halves[1], undo, depth+1)
}
