package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sort"

	"github.com/klauspost/compress/zstd"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Marks of the seekable format, which is a skippable frame at the end of a file: (frames, flags,
// mark) at its end, and entries of (compressed size, decompressed size[, checksum]) before them.
// https://github.com/facebook/zstd/blob/dev/contrib/seekable_format
const (
	seekMark     = 0x8F92EAB1
	seekHead     = 0x184D2A5E
	seekFoot     = 9
	maxSeekTable = 64 << 20
	// seekTail is read at once to find the table: it holds that of many files.
	seekTail = 64 << 10
)

const fixSeek = "compress it anew"

// seekTable calls visit for every frame that the seek table of a zstd file names, with the bytes it
// has and those it decompresses to. It answers false for a file without one.
func seekTable(ctx context.Context, f *file, visit func(size, text int64)) (bool, error) {
	if f.size < seekFoot+8 {
		return false, nil
	}
	tail := make([]byte, min(f.size, seekTail))
	before := f.size - int64(len(tail))
	if err := f.read(ctx, before, tail); err != nil {
		return false, err
	}
	foot := tail[len(tail)-seekFoot:]
	if binary.LittleEndian.Uint32(foot[5:]) != seekMark {
		return false, nil
	}
	broken := &problem{what: "the seek table at its end is damaged", fix: fixSeek}
	entry := int64(8)
	if foot[4]&0x80 != 0 {
		entry = 12
	}
	frames := int64(binary.LittleEndian.Uint32(foot))
	size := 8 + entry*frames + seekFoot
	if foot[4]&0x7C != 0 || size > f.size || size > maxSeekTable {
		return false, broken
	}
	raw := &byteReader{file: f, window: maxRead, at: f.size - size, end: before, ctx: ctx}
	in := bufio.NewReader(io.MultiReader(raw,
		bytes.NewReader(tail[max(0, int64(len(tail))-size):])))
	var b [12]byte
	if _, err := io.ReadFull(in, b[:8]); err != nil {
		return false, err // of the store: the bytes are there
	}
	if binary.LittleEndian.Uint32(b[:]) != seekHead ||
		int64(binary.LittleEndian.Uint32(b[4:])) != size-8 {
		return false, broken
	}
	total := int64(0)
	for range frames {
		if _, err := io.ReadFull(in, b[:entry]); err != nil {
			return false, err
		}
		packed := int64(binary.LittleEndian.Uint32(b[:]))
		visit(packed, int64(binary.LittleEndian.Uint32(b[4:])))
		total += packed
	}
	if total != f.size-size {
		return false, broken
	}
	return true, nil
}

// frameAt is where a frame starts.
type frameAt struct {
	raw  int64 // byte of the file
	text int64 // byte of what its block decompresses to
	size int64 // of its text
}

// frameList are the frames of one block, once they were asked for.
type frameList struct {
	known bool
	at    []frameAt // none: the file has no seek table
}

// before is the last frame of the block that starts at a place of its text or before it, as the
// seek table has it; without one, the first.
func (p packed) before(ctx context.Context, at int64) (frameAt, error) {
	first := frameAt{raw: p.extent.Start, size: -1}
	if !p.frames.known {
		if err := p.find(ctx); err != nil {
			return first, err
		}
		p.frames.known = true
	}
	all := p.frames.at
	i := sort.Search(len(all), func(i int) bool { return all[i].text > at })
	if i == 0 {
		return first, nil
	}
	return all[i-1], nil
}

// find looks the block's frames up.
func (p packed) find(ctx context.Context) error {
	if p.file.compression != pb.Compression_ZSTD || p.file.unindexed.Load() {
		return nil
	}
	raw, text := int64(0), int64(0)
	var all []frameAt
	found, err := seekTable(ctx, p.file, func(size, content int64) {
		if raw >= p.extent.Start && raw < p.extent.End {
			all = append(all, frameAt{raw, text, content})
			text += content
		}
		raw += size
	})
	if err != nil {
		return err
	}
	if len(all) > 0 && all[0].raw == p.extent.Start {
		p.frames.at = all
	}
	p.file.unindexed.Store(!found)
	return nil
}

// check holds what a frame says of its size, if it does, against the seek table: positions in the
// text are counted by the table.
func (f frameAt) check(start []byte) error {
	var h zstd.Header
	if h.Decode(start) != nil { // the decoder will explain
		return nil
	}
	if h.HasFCS && int64(h.FrameContentSize) != f.size {
		return &problem{what: "the seek table at its end has another size for a frame than the frame",
			fix: fixSeek}
	}
	return nil
}
