package source

import (
	"fmt"
	"math"
	"sort"
)

// Bounds of the block size, in bytes.
const (
	MinBlockBytes = 4 << 10
	MaxBlockBytes = 8 << 20
)

// BlockBytes is the block size of a source of so many bytes: about 8 blocks for each slot and
// epoch, so that every slot has its own and the order can be shuffled, within the bounds.
func BlockBytes(total uint64, slots int) uint64 {
	return min(max(total/(8*uint64(slots)), MinBlockBytes), MaxBlockBytes)
}

// Extent is a byte range [Start, End) of a file, by its index in the source.
type Extent struct {
	File       int
	Start, End int64
}

// Layout is the cut of a source's files into blocks.
type Layout struct {
	blockBytes int64
	sizes      []int64
	first      []uint64 // of each file: the index of its first block; and the number of all
}

// NewLayout cuts files of these sizes. An empty file has no block.
func NewLayout(blockBytes uint64, sizes []uint64) (Layout, error) {
	if blockBytes == 0 || blockBytes > math.MaxInt64 {
		return Layout{}, fmt.Errorf("cut source: block size %d is out of range", blockBytes)
	}
	l := Layout{blockBytes: int64(blockBytes), first: make([]uint64, 1, len(sizes)+1)}
	var total uint64
	for i, size := range sizes {
		if size > math.MaxInt64 || total+size > math.MaxInt64 {
			return Layout{}, fmt.Errorf("cut source: file %d of %d bytes is too large", i, size)
		}
		total += size
		l.sizes = append(l.sizes, int64(size))
		blocks := size / blockBytes
		if size%blockBytes != 0 {
			blocks++
		}
		l.first = append(l.first, l.first[i]+blocks)
	}
	return l, nil
}

// Blocks is K, the number of blocks.
func (l Layout) Blocks() uint64 { return l.first[len(l.first)-1] }

// Extent returns the byte range of a block. Invariant: block < Blocks().
func (l Layout) Extent(block uint64) Extent {
	file := sort.Search(len(l.sizes), func(i int) bool { return l.first[i+1] > block })
	start := int64(block-l.first[file]) * l.blockBytes
	return Extent{File: file, Start: start, End: start + min(l.blockBytes, l.sizes[file]-start)}
}
