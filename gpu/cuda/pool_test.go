package cuda

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// store is a source with so much memory.
type store struct {
	left int64
	next Addr
	out  map[Addr]int64
}

func (s *store) take(n int64) (Addr, error) {
	if n > s.left {
		return 0, fmt.Errorf("no %d bytes: %w", n, ErrMemory)
	}
	s.left -= n
	at := s.next
	s.next += Addr(n) + largeAlign
	s.out[at] = n
	return at, nil
}

func (s *store) give(at Addr) error {
	n, ok := s.out[at]
	if !ok {
		return fmt.Errorf("give %#x: not out", uint64(at))
	}
	delete(s.out, at)
	s.left += n
	return nil
}

// check walks all segments: pieces cover them, free neighbours are one, counters are right.
func (p *pool) check(t *rapid.T) {
	var held, used int64
	free := 0
	for at, x := range p.byAddr {
		if x.at != at {
			t.Fatalf("piece of %#x is at %#x", at, x.at)
		}
		if x.prev != nil {
			continue
		}
		end := x.in.at
		for y := x; y != nil; y = y.next {
			if y.at != end || y.in != x.in || y.next != nil && (y.next.prev != y ||
				y.free && y.next.free) {
				t.Fatalf("pieces of the segment at %#x do not cover it", x.in.at)
			}
			end += Addr(y.size)
			if y.free {
				free++
			} else {
				used += y.size
			}
		}
		if end != x.in.at+Addr(x.in.size) {
			t.Fatalf("segment at %#x of %d bytes ends at %#x", x.in.at, x.in.size, end)
		}
		held += x.in.size
	}
	if held != p.held || used != p.used || free != len(p.free) || held > p.budget {
		t.Fatalf("%d held, %d used, %d free pieces; the pool counts %d, %d, %d of %d", held, used,
			free, p.held, p.used, len(p.free), p.budget)
	}
}

func TestPoolAgainstRandomSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := &store{left: rapid.Int64Range(1<<20, 256<<20).Draw(t, "memory"), next: largeAlign,
			out: map[Addr]int64{}}
		all := from.left
		p := newPool(from, rapid.Int64Range(1<<20, 256<<20).Draw(t, "budget"))
		sizes := map[Addr]int64{}
		var order []Addr
		sizeOf := rapid.OneOf(rapid.Int64Range(1, 4096), rapid.Int64Range(1, smallLimit),
			rapid.Int64Range(smallLimit-1024, 64<<20))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(order) > 0 && rapid.Bool().Draw(t, "free") {
				i := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				at := order[i]
				order = append(order[:i], order[i+1:]...)
				delete(sizes, at)
				if err := p.release(at); err != nil {
					t.Fatal(err)
				}
				if err := p.release(at); err == nil {
					t.Fatalf("%#x was freed twice", at)
				}
			} else {
				n := sizeOf.Draw(t, "size")
				at, err := p.alloc(n, "x")
				if err == nil {
					for other, m := range sizes {
						if at < other+Addr(m) && other < at+Addr(n) {
							t.Fatalf("%d bytes at %#x overlap %d at %#x", n, at, m, other)
						}
					}
					if at%pieceAlign != 0 {
						t.Fatalf("%#x is not aligned", at)
					}
					sizes[at], order = n, append(order, at)
				} else if !errors.Is(err, ErrMemory) || len(order) == 0 &&
					roundUp(n, largeAlign) <= min(all, p.budget) {
					t.Fatalf("%d bytes with nothing in use: %v", n, err)
				}
			}
			p.check(t)
		}
		for _, at := range order {
			if err := p.release(at); err != nil {
				t.Fatal(err)
			}
		}
		if p.used != 0 || len(p.counted) != 0 {
			t.Fatalf("%d bytes in use at the end, by %v", p.used, p.counted)
		}
		if err := p.close(); err != nil || from.left != all {
			t.Fatalf("close: %v; %d of %d bytes came back", err, from.left, all)
		}
	})
}

// TestPoolKeepsWhatItHas: the second round of the same needs asks the driver for nothing.
func TestPoolKeepsWhatItHas(t *testing.T) {
	from := &store{left: 1 << 40, next: largeAlign, out: map[Addr]int64{}}
	p := newPool(from, 1<<40)
	var left int64
	for round := range 3 {
		var all []Addr
		for _, n := range []int64{100, 5 << 20, 100 << 20, 30 << 20, 1 << 20, 17 << 20} {
			at, err := p.alloc(n, "x")
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, at)
		}
		for _, at := range all {
			if err := p.release(at); err != nil {
				t.Fatal(err)
			}
		}
		if round > 0 && from.left != left {
			t.Errorf("round %d took %d bytes more", round, left-from.left)
		}
		left = from.left
	}
}
