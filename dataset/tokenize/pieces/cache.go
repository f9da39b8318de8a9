package pieces

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

const (
	cacheBits = 15 // 32,768 segments, 2 MiB
	cacheText = 24 // longest segment kept, bytes
	cacheIDs  = 8  // longest result kept
)

// cache remembers the ids of short segments: direct mapped, the newest wins its place.
type cache []entry

// key is a segment of at most cacheText bytes, with zeros behind.
type key [cacheText / 8]uint64

// entry fills one cache line.
type entry struct {
	key                key
	ids                [cacheIDs]int32
	margin             float32
	size, count, chars uint8 // bytes of the segment (0: empty), ids, characters
}

var _ [64 - unsafe.Sizeof(entry{})]struct{}

// keyMasks keep the first n bytes of a key.
var keyMasks = func() (m [cacheText + 1]key) {
	for n := range m {
		for w := range m[n] {
			m[n][w] = 1<<(8*min(max(n-8*w, 0), 8)) - 1
		}
	}
	return m
}()

// pad returns text with room behind it for keyOf to read.
func pad(text []byte) []byte {
	return slices.Grow(text, cacheText)[:len(text)+cacheText]
}

// keyOf is the segment of size bytes at i of a padded text.
func keyOf(padded []byte, i, size int) key {
	s, mask := padded[i:i+cacheText], &keyMasks[size]
	return key{
		binary.LittleEndian.Uint64(s) & mask[0],
		binary.LittleEndian.Uint64(s[8:]) & mask[1],
		binary.LittleEndian.Uint64(s[16:]) & mask[2],
	}
}

// slot is the place of a segment; hit says that it is there.
func (c cache) slot(k *key, size int) (e *entry, hit bool) {
	// Two odd numbers without a pattern: 2^64 by the golden ratio, and the first secret of wyhash.
	hi, lo := bits.Mul64(k[0]^0x9E3779B97F4A7C15, k[1]^k[2]*0x9E3779B97F4A7C15^0xA0761D6478BD642F)
	e = &c[((hi^lo)^uint64(size)<<56)*0x9E3779B97F4A7C15>>(64-cacheBits)]
	return e, e.key == *k && int(e.size) == size
}

// set fills an entry; a result that is too long leaves it as it was.
func (e *entry) set(k *key, size, chars int, ids []int32, margin float32) {
	if len(ids) > cacheIDs {
		return
	}
	e.key, e.margin = *k, margin
	e.size, e.count, e.chars = uint8(size), uint8(len(ids)), uint8(chars)
	copy(e.ids[:], ids)
}

// Scratch holds the buffers of a call and the segments seen before. Its zero value is not ready.
type Scratch struct {
	cache cache
	syms  []int32
	ranks merge.Ranks
	list  merge.List
	undo  map[int32][2]int32
	steps []step
	path  []int32
}

// NewScratch makes a scratch of about 2.1 MiB.
func NewScratch() *Scratch { return &Scratch{cache: make(cache, 1<<cacheBits)} }

// keepScratch is the largest buffer, in entries, that outlives the text that needed it.
const keepScratch = 1 << 16

// trim gives back what only one long text needed.
func (sc *Scratch) trim() {
	if cap(sc.syms) > keepScratch {
		sc.syms = nil
	}
	sc.list.Reset()
	if cap(sc.steps) > keepScratch {
		sc.steps, sc.path = nil, nil
	}
}
