package ref

import (
	"fmt"
	"math"
	"sort"
	"unsafe"

	"github.com/banyan-train/banyan/worker/kernel"
)

var _ kernel.Backend = (*Backend)(nil)

// maxElements bounds one allocation, so that a wrong size is an error and not a fault.
const maxElements = math.MaxInt32

// lineElements is the number of elements in 64 bytes, the promised alignment.
const lineElements = 16

// Backend runs programs on the calling goroutine. It is for one goroutine at a time.
type Backend struct {
	bases  []kernel.Addr // ascending starts of the live allocations
	memory map[kernel.Addr]allocation
}

// allocation keeps the memory behind a tensor alive; exactly one of the slices is set. Halves lie
// in the words of floats.
type allocation struct {
	floats []float32
	ints   []int32
}

// New returns an empty backend.
func New() *Backend {
	return &Backend{memory: map[kernel.Addr]allocation{}}
}

// Name is "ref".
func (b *Backend) Name() string { return "ref" }

// Alloc returns n zeroed elements.
func (b *Backend) Alloc(n int, dt kernel.DType) (kernel.Tensor, error) {
	if n < 0 || n > maxElements {
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: outside [0,%d]", n, maxElements)
	}
	var a allocation
	var at kernel.Addr
	switch dt {
	case kernel.F32:
		a.floats = aligned[float32](n)
		at = kernel.Addr(uintptr(unsafe.Pointer(unsafe.SliceData(a.floats))))
	case kernel.BF16:
		a.floats = aligned[float32]((n + 1) / 2)
		at = kernel.Addr(uintptr(unsafe.Pointer(unsafe.SliceData(a.floats))))
	case kernel.I32:
		a.ints = aligned[int32](n)
		at = kernel.Addr(uintptr(unsafe.Pointer(unsafe.SliceData(a.ints))))
	default:
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: unknown dtype %d", n, dt)
	}
	i := b.after(at)
	b.bases = append(b.bases, 0)
	copy(b.bases[i+1:], b.bases[i:])
	b.bases[i] = at
	b.memory[at] = a
	return kernel.Tensor{Addr: at, Len: n, DType: dt}, nil
}

// aligned makes n elements that start on a 64-byte line, with capacity for at least one element,
// so that an empty tensor has an address of its own.
func aligned[E float32 | int32](n int) []E {
	s := make([]E, n+2*lineElements)
	off := 0
	if rest := uintptr(unsafe.Pointer(&s[0])) % 64; rest != 0 {
		off = int((64 - rest) / 4)
	}
	return s[off : off+n : off+n+1]
}

// Free forgets the allocation that starts at t; anything else is ignored.
func (b *Backend) Free(t kernel.Tensor) {
	if _, ok := b.memory[t.Addr]; !ok {
		return
	}
	delete(b.memory, t.Addr)
	i := b.after(t.Addr) - 1
	b.bases = append(b.bases[:i], b.bases[i+1:]...)
}

// Host returns the memory of t itself, nil if t is not a float32 tensor of this backend.
func (b *Backend) Host(t kernel.Tensor) []float32 {
	s, err := b.floats(t.Addr, t.Len)
	if t.DType != kernel.F32 || err != nil {
		return nil
	}
	return s
}

// HostInts returns the memory of t itself, nil if t is not an int32 tensor of this backend.
func (b *Backend) HostInts(t kernel.Tensor) []int32 {
	s, err := b.ints(t.Addr, t.Len)
	if t.DType != kernel.I32 || err != nil {
		return nil
	}
	return s
}

// HostHalf returns the memory of t itself, nil if t is not a bfloat16 tensor of this backend.
func (b *Backend) HostHalf(t kernel.Tensor) []uint16 {
	s, err := b.halves(t.Addr, t.Len)
	if t.DType != kernel.BF16 || err != nil {
		return nil
	}
	return s
}

// HostAdd implements kernel.Backend.
func (b *Backend) HostAdd(dst, x, y []float32) {
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

// Close forgets all memory.
func (b *Backend) Close() {
	b.bases = nil
	b.memory = map[kernel.Addr]allocation{}
}

// after is the index of the first base above at.
func (b *Backend) after(at kernel.Addr) int {
	return sort.Search(len(b.bases), func(i int) bool { return b.bases[i] > at })
}

// find returns the allocation that at lies in and the offset of at in it, in bytes. Addresses
// are looked up and never turned into pointers: the garbage collector need not know them.
func (b *Backend) find(at kernel.Addr) (allocation, int, error) {
	i := b.after(at) - 1
	if i < 0 {
		return allocation{}, 0, fmt.Errorf("address %#x: not of this backend", at)
	}
	return b.memory[b.bases[i]], int(at - b.bases[i]), nil
}

func (b *Backend) floats(at kernel.Addr, n int) ([]float32, error) {
	a, off, err := b.find(at)
	if err != nil {
		return nil, err
	}
	off /= kernel.F32.Size()
	if n < 0 || off+n > len(a.floats) {
		return nil, fmt.Errorf("address %#x: no %d float32 there", at, n)
	}
	return a.floats[off : off+n : off+n], nil
}

func (b *Backend) halves(at kernel.Addr, n int) ([]uint16, error) {
	a, off, err := b.find(at)
	if err != nil {
		return nil, err
	}
	off /= kernel.BF16.Size()
	if n < 0 || off+n > 2*len(a.floats) {
		return nil, fmt.Errorf("address %#x: no %d bfloat16 there", at, n)
	}
	all := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(a.floats))), 2*len(a.floats))
	return all[off : off+n : off+n], nil
}

func (b *Backend) ints(at kernel.Addr, n int) ([]int32, error) {
	a, off, err := b.find(at)
	if err != nil {
		return nil, err
	}
	off /= kernel.I32.Size()
	if n < 0 || off+n > len(a.ints) {
		return nil, fmt.Errorf("address %#x: no %d int32 there", at, n)
	}
	return a.ints[off : off+n : off+n], nil
}
