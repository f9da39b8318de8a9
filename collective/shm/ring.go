package shm

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

const (
	// ringLen is what one direction holds. More than a second-level cache keeps for both processes
	// gains nothing; much less makes them wait for each other.
	ringLen = 1 << 20
	// controlLen is what comes before the rings: a page for each direction.
	controlLen = 4096
	memoryLen  = 2 * (controlLen + ringLen)
)

// errPositions: the memory does not say what a process of ours writes there.
var errPositions = errors.New("shared memory is corrupt")

// control is the head of a ring. What one side writes is on cache lines of its own.
type control struct {
	head   atomic.Uint64 // bytes ever written; the writer's
	closed atomic.Uint32 // the writer has written its last; the writer's
	_      [112]byte
	tail   atomic.Uint64 // bytes ever read; the reader's
	_      [120]byte
	// A side that sleeps says how many bytes it waits for, or how much room; 0 while it does not.
	reader atomic.Uint32
	_      [124]byte
	writer atomic.Uint32
}

// ring is one direction, seen by one of its sides.
type ring struct {
	*control
	data []byte
}

// rings cuts memory into its two directions.
func rings(memory []byte) (first, second ring) {
	at := func(b []byte) ring {
		return ring{(*control)(unsafe.Pointer(unsafe.SliceData(b))), b[controlLen:]}
	}
	return at(memory[:memoryLen/2]), at(memory[memoryLen/2:])
}

// filled is how many bytes lie in the ring.
func (r ring) filled() (int, error) {
	head, tail := r.head.Load(), r.tail.Load()
	if head-tail > ringLen {
		return 0, fmt.Errorf("%w: %d bytes written and %d read in a ring of %d",
			errPositions, head, tail, ringLen)
	}
	return int(head - tail), nil
}

// put copies what there is room for, at most limit bytes, into the ring.
func (r ring) put(b []byte, limit int) (int, error) {
	n, err := r.filled()
	if err != nil {
		return 0, err
	}
	b = b[:min(len(b), limit, ringLen-n)]
	head := r.head.Load()
	first := copy(r.data[head%ringLen:], b)
	copy(r.data, b[first:])
	r.head.Store(head + uint64(len(b)))
	return len(b), nil
}

// take copies what is there to b.
func (r ring) take(b []byte) (int, error) {
	n, err := r.filled()
	if err != nil {
		return 0, err
	}
	b = b[:min(len(b), n)]
	tail := r.tail.Load()
	first := copy(b, r.data[tail%ringLen:])
	copy(b[first:], r.data)
	r.tail.Store(tail + uint64(len(b)))
	return len(b), nil
}

// peek is as many of the next n bytes as have come, nil if they do not lie in one piece.
func (r ring) peek(n int) ([]byte, error) {
	filled, err := r.filled()
	if err != nil {
		return nil, err
	}
	at := int(r.tail.Load() % ringLen)
	if n > ringLen-at {
		return nil, nil
	}
	return r.data[at:][:min(n, filled)], nil
}
