package pieces

import "hash/maphash"

const (
	cacheBits = 15 // 32,768 segments, 2 MiB
	cacheText = 20 // longest segment kept, bytes
	cacheIDs  = 9  // longest result kept
)

// cache remembers the ids of short segments: direct mapped, the newest wins its place.
type cache struct {
	seed    maphash.Seed
	entries []entry
}

// entry fills one cache line.
type entry struct {
	size, count, chars uint8 // bytes of the segment (0: empty), ids, characters
	margin             float32
	text               [cacheText]byte
	ids                [cacheIDs]int32
}

func newCache() cache {
	return cache{seed: maphash.MakeSeed(), entries: make([]entry, 1<<cacheBits)}
}

// slot is the place of a segment of at most cacheText bytes; hit says that it is there.
func (c *cache) slot(text []byte) (e *entry, hit bool) {
	e = &c.entries[maphash.Bytes(c.seed, text)>>(64-cacheBits)]
	return e, string(e.text[:e.size]) == string(text)
}

// set fills an entry; a result that is too long leaves it as it was.
func (e *entry) set(text []byte, chars int, ids []int32, margin float32) {
	if len(ids) > cacheIDs {
		return
	}
	e.size, e.count, e.chars = uint8(len(text)), uint8(len(ids)), uint8(chars)
	e.margin = margin
	copy(e.text[:], text)
	copy(e.ids[:], ids)
}

// Scratch holds the buffers of a call and the segments seen before. Its zero value is not ready.
type Scratch struct {
	cache cache
	syms  []int32
	ranks [shortSegment]uint64
	nodes []node
	heap  []uint64
	undo  map[int32][2]int32
	steps []step
	path  []int32
}

// NewScratch makes a scratch of about 2.1 MiB.
func NewScratch() *Scratch { return &Scratch{cache: newCache()} }

// keepScratch is the largest buffer, in entries, that outlives the text that needed it.
const keepScratch = 1 << 16

// trim gives back what only one long text needed.
func (sc *Scratch) trim() {
	if cap(sc.syms) > keepScratch {
		sc.syms = nil
	}
	if cap(sc.nodes) > keepScratch {
		sc.nodes, sc.heap = nil, nil
	}
	if cap(sc.steps) > keepScratch {
		sc.steps, sc.path = nil, nil
	}
}
