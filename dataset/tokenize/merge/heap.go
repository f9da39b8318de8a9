package merge

// heap is a binary heap of numbers, the smallest on top.
type heap []uint64

// push adds a number.
func (p *heap) push(x uint64) {
	*p = append(*p, x)
	h, i := *p, len(*p)-1
	for i > 0 && h[(i-1)/2] > x {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = x
}

// pop removes the smallest number. The heap must not be empty.
func (p *heap) pop() uint64 {
	h := *p
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*p = h
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if child >= len(h) || h[child] >= x {
			h[i] = x
			break
		}
		h[i] = h[child]
		i = child
	}
	return top
}
