package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// source is where a pool gets memory from: the driver, or a test.
type source interface {
	// take returns memory on a boundary of at least pieceAlign bytes; an error that is ErrMemory
	// means that there is none, and may say how much there is.
	take(bytes int64) (Addr, error)
	give(Addr) error
}

const (
	pieceAlign = 512      // sizes of pieces are multiples: cuBLASLt wants 256, and rows of caches
	smallLimit = 16 << 20 // pieces below it share segments of
	smallChunk = 32 << 20 // this size
	largeAlign = 2 << 20  // other segments are multiples of the driver's own pages
)

// pool hands out pieces of segments that it got from the source, and keeps segments that became
// free for the next. It knows nothing of time: whoever frees a piece is done with it.
//
// Invariant: the pieces of a segment cover it in order, and no two free ones are neighbours.
type pool struct {
	from    source
	budget  int64
	held    int64 // bytes of all segments
	used    int64 // bytes of pieces that are out
	byAddr  map[Addr]*piece
	free    []*piece // by size, then address
	counted map[string]int64
}

type segment struct {
	at    Addr
	size  int64
	small bool
}

type piece struct {
	in         *segment
	at         Addr
	size       int64
	free       bool
	what       string
	prev, next *piece // neighbours in the segment
}

func newPool(from source, budget int64) *pool {
	return &pool{from: from, budget: budget, byAddr: map[Addr]*piece{}, counted: map[string]int64{}}
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// alloc hands out a piece of at least n bytes; what says what for, in errors.
func (p *pool) alloc(n int64, what string) (Addr, error) {
	if n <= 0 || n > 1<<46 {
		return 0, fmt.Errorf("allocate %d bytes for %s: outside [1,2^46]", n, what)
	}
	size := roundUp(n, pieceAlign)
	small := size < smallLimit
	if x := p.best(size, func(x *piece) bool { return x.in.small == small }); x != nil {
		return p.hand(x, size, what), nil
	}
	x, err := p.grow(size, small)
	if err == nil {
		return p.hand(x, size, what), nil
	}
	if !errors.Is(err, ErrMemory) {
		return 0, fmt.Errorf("allocate %s for %s: %w", bytesText(n), what, err)
	}
	if x := p.best(size, func(*piece) bool { return true }); x != nil {
		return p.hand(x, size, what), nil
	}
	return 0, fmt.Errorf("allocate %s for %s: %w; %s", bytesText(n), what, err, p.describe())
}

// best is the smallest free piece that fits and that ok accepts.
func (p *pool) best(size int64, ok func(*piece) bool) *piece {
	i, _ := slices.BinarySearchFunc(p.free, &piece{size: size}, bySize)
	for _, x := range p.free[i:] {
		if ok(x) {
			return x
		}
	}
	return nil
}

func bySize(a, b *piece) int {
	return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.at, b.at))
}

// grow takes another segment: of the usual size if there is room, else of what is needed, and else
// after giving back what is free.
func (p *pool) grow(size int64, small bool) (*piece, error) {
	sizes := []int64{roundUp(size, largeAlign)}
	if small {
		sizes = []int64{smallChunk, sizes[0]}
	}
	var err error
	for range 2 {
		for _, n := range sizes {
			if n > p.budget-p.held {
				err = fmt.Errorf("%w: the budget is %s", ErrMemory, bytesText(p.budget))
				continue
			}
			var at Addr
			if at, err = p.from.take(n); err == nil {
				p.held += n
				x := &piece{in: &segment{at, n, small}, at: at, size: n}
				p.byAddr[at] = x
				p.enlist(x)
				return x, nil
			}
			if !errors.Is(err, ErrMemory) {
				return nil, err
			}
		}
		if given, giveErr := p.trim(); giveErr != nil || !given {
			return nil, errors.Join(err, giveErr)
		}
	}
	return nil, err
}

// trim gives back the segments that are free as a whole.
func (p *pool) trim() (any bool, err error) {
	for _, x := range slices.Clone(p.free) {
		if x.size != x.in.size {
			continue
		}
		p.delist(x)
		delete(p.byAddr, x.at)
		p.held -= x.size
		any = true
		if err := p.from.give(x.at); err != nil {
			return any, fmt.Errorf("give back %s: %w", bytesText(x.size), err)
		}
	}
	return any, nil
}

// hand marks the first size bytes of a free piece as used, and keeps the rest.
func (p *pool) hand(x *piece, size int64, what string) Addr {
	p.delist(x)
	if rest := x.size - size; rest > 0 {
		y := &piece{in: x.in, at: x.at + Addr(size), size: rest, prev: x, next: x.next}
		if y.next != nil {
			y.next.prev = y
		}
		x.next, x.size = y, size
		p.byAddr[y.at] = y
		p.enlist(y)
	}
	x.what = what
	p.used += size
	p.counted[what] += size
	return x.at
}

// release takes a piece back.
func (p *pool) release(at Addr) error {
	x := p.byAddr[at]
	if x == nil || x.free {
		return fmt.Errorf("free %#x: no piece that was handed out", uint64(at))
	}
	p.used -= x.size
	if p.counted[x.what] -= x.size; p.counted[x.what] == 0 {
		delete(p.counted, x.what)
	}
	x.what = ""
	if y := x.next; y != nil && y.free {
		p.delist(y)
		p.join(x, y)
	}
	if y := x.prev; y != nil && y.free {
		p.delist(y)
		p.join(y, x)
		x = y
	}
	p.enlist(x)
	return nil
}

// join makes y a part of x, its neighbour to the left.
func (p *pool) join(x, y *piece) {
	delete(p.byAddr, y.at)
	x.size += y.size
	if x.next = y.next; x.next != nil {
		x.next.prev = x
	}
}

func (p *pool) enlist(x *piece) {
	x.free = true
	i, _ := slices.BinarySearchFunc(p.free, x, bySize)
	p.free = slices.Insert(p.free, i, x)
}

func (p *pool) delist(x *piece) {
	x.free = false
	if i, ok := slices.BinarySearchFunc(p.free, x, bySize); ok {
		p.free = slices.Delete(p.free, i, i+1)
	}
}

// close gives back every segment, whatever is still out.
func (p *pool) close() error {
	var errs []error
	for _, x := range p.byAddr {
		if x.prev == nil {
			errs = append(errs, p.from.give(x.in.at))
		}
	}
	p.byAddr, p.free, p.held, p.used = map[Addr]*piece{}, nil, 0, 0
	return errors.Join(errs...)
}

// describe says who holds what, the largest first.
func (p *pool) describe() string {
	names := make([]string, 0, len(p.counted))
	for name := range p.counted {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.counted[b], p.counted[a]), cmp.Compare(a, b))
	})
	var parts []string
	for i, name := range names {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(names)-i))
			break
		}
		parts = append(parts, name+" "+bytesText(p.counted[name]))
	}
	largest := int64(0)
	if n := len(p.free); n > 0 {
		largest = p.free[n-1].size
	}
	return fmt.Sprintf("in use %s (%s), free in pieces %s, the largest of %s", bytesText(p.used),
		strings.Join(parts, ", "), bytesText(p.held-p.used), bytesText(largest))
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i+1 < len(units) {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
