package source

import (
	"fmt"
	"math"
	"sort"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
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

// Extent is a block: the bytes [Start, End) of a file, by its index in the source; of a parquet
// file the rows [Start, End).
type Extent struct {
	File       int
	Index      int // of the block in the file
	Start, End int64
}

// Layout is the cut of a source's files into blocks.
type Layout struct {
	blockBytes int64
	sizes      []int64
	starts     [][]int64 // of the blocks of a file with pinned ones, and the end of the last
	first      []uint64  // of each file: the index of its first block; and the number of all
}

// NewLayout cuts files at the block sizes that were pinned for them, and where none were, every
// blockBytes. An empty file has no block.
func NewLayout(blockBytes uint64, files []*pb.PinnedFile) (Layout, error) {
	if blockBytes == 0 || blockBytes > math.MaxInt64 {
		return Layout{}, fmt.Errorf("cut source: block size %d is out of range", blockBytes)
	}
	l := Layout{blockBytes: int64(blockBytes), first: make([]uint64, 1, len(files)+1)}
	var total uint64
	for i, f := range files {
		size := f.GetSize()
		if size > math.MaxInt64 || total+size > math.MaxInt64 {
			return Layout{}, fmt.Errorf("cut source: file %d of %d bytes is too large", i, size)
		}
		total += size
		starts, err := pinnedStarts(f)
		if err != nil {
			return Layout{}, fmt.Errorf("cut source: %s: %w", f.GetUri(), err)
		}
		blocks := (size + blockBytes - 1) / blockBytes
		if starts != nil {
			blocks = uint64(len(starts) - 1)
		}
		l.sizes, l.starts = append(l.sizes, int64(size)), append(l.starts, starts)
		l.first = append(l.first, l.first[i]+blocks)
	}
	return l, nil
}

// pinnedStarts are where the pinned blocks of a file start, and where the last one ends; nil for a
// file that is cut every blockBytes.
func pinnedStarts(f *pb.PinnedFile) ([]int64, error) {
	if len(f.GetBlockSizes()) == 0 {
		if f.GetFormat() == pb.Format_PARQUET {
			return []int64{0}, nil // of no row groups
		}
		return nil, nil
	}
	limit := f.GetSize()
	if f.GetFormat() == pb.Format_PARQUET {
		limit = math.MaxInt64 // rows
	}
	starts, at := make([]int64, 1, len(f.GetBlockSizes())+1), uint64(0)
	for i, size := range f.GetBlockSizes() {
		if size == 0 || size > limit-at {
			return nil, fmt.Errorf("block %d of size %d does not fit into the file", i, size)
		}
		at += size
		starts = append(starts, int64(at))
	}
	return starts, nil
}

// Blocks is K, the number of blocks.
func (l Layout) Blocks() uint64 { return l.first[len(l.first)-1] }

// Extent returns the range of a block. Invariant: block < Blocks().
func (l Layout) Extent(block uint64) Extent {
	file := sort.Search(len(l.sizes), func(i int) bool { return l.first[i+1] > block })
	index := int(block - l.first[file])
	e := Extent{File: file, Index: index}
	if starts := l.starts[file]; starts != nil {
		e.Start, e.End = starts[index], starts[index+1]
		return e
	}
	e.Start = int64(index) * l.blockBytes
	e.End = e.Start + min(l.blockBytes, l.sizes[file]-e.Start)
	return e
}
