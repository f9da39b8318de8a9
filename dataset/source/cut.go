package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// walkBytes bounds how much of a source is read at launch to find the frames of zstd files without
// a seek table: such files cannot be cut when there is more of them.
const walkBytes = 256 << 20

// cutters is how many files are looked at once.
const cutters = 8

// Cut pins the blocks of those files of a source that cannot be cut at any byte: row groups of
// parquet; frames of zstd, by the seek table or in small sources by looking for them, joined up to
// block_bytes; all of any other compressed file, and of a text file that is one document. It reads
// footers, not texts.
func Cut(ctx context.Context, stores store.Opener, m *pb.SourceManifest) error {
	unindexed := uint64(0)
	for _, f := range m.GetFiles() {
		if f.GetCompression() == pb.Compression_ZSTD {
			unindexed += f.GetSize()
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cutters)
	for _, f := range m.GetFiles() {
		group.Go(func() error {
			if f.GetSize() == 0 {
				return nil
			}
			sizes, err := cutFile(ctx, stores, m, f, unindexed <= walkBytes)
			if err != nil {
				return fmt.Errorf("%s: %w", f.GetUri(), err)
			}
			f.BlockSizes = sizes
			return nil
		})
	}
	return group.Wait()
}

func cutFile(
	ctx context.Context, stores store.Opener, m *pb.SourceManifest, pinned *pb.PinnedFile, walk bool,
) ([]uint64, error) {
	f, err := openFile(stores, pinned, m.GetDocument())
	if err != nil {
		return nil, err
	}
	switch {
	case f.format == pb.Format_PARQUET:
		return rowGroups(ctx, f, ParsePath(m.GetTextField()))
	case f.compression == pb.Compression_ZSTD && f.document != pb.Document_FILE:
		var frames []uint64
		found, err := seekTable(ctx, f, func(size, _ int64) { frames = append(frames, uint64(size)) })
		if err == nil && !found && walk {
			frames, err = findFrames(ctx, f)
		}
		if err != nil {
			return nil, err
		}
		return joinFrames(frames, pinned.GetSize(), m.GetBlockBytes()), nil
	case f.compression == pb.Compression_COMPRESSION_UNSPECIFIED && f.document != pb.Document_FILE:
		return nil, nil
	}
	return []uint64{pinned.GetSize()}, nil
}

// rowGroups are the rows of each row group of a parquet file with a column of texts.
func rowGroups(ctx context.Context, f *file, path []string) ([]uint64, error) {
	t, err := openTable(ctx, f, MaxWindow, path)
	if err != nil {
		return nil, err
	}
	var rows []uint64
	for _, g := range t.RowGroups() {
		n := g.NumRows()
		if n < 0 {
			return nil, notParquet("a row group has a negative number of rows")
		}
		rows = append(rows, uint64(n))
	}
	return rows, nil
}

// joinFrames joins frames to blocks of at least so many bytes. What follows the last frame, such as
// a seek table, belongs to the last block.
func joinFrames(frames []uint64, size, blockBytes uint64) []uint64 {
	var blocks []uint64
	at, start := uint64(0), uint64(0)
	for i, frame := range frames {
		if at += frame; at-start >= blockBytes && i+1 < len(frames) {
			blocks = append(blocks, at-start)
			start = at
		}
	}
	return append(blocks, size-start)
}

// findFrames walks over a zstd file from block header to block header. It decompresses nothing.
func findFrames(ctx context.Context, f *file) ([]uint64, error) {
	raw := &byteReader{file: f, window: maxRead, end: f.size, ctx: ctx}
	in := bufio.NewReaderSize(raw, 4<<10)
	var frames []uint64
	for at := int64(0); ; {
		n, err := frame(in)
		at += n
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return frames, nil
		case raw.err != nil:
			return nil, raw.err
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			p := damaged(pb.Compression_ZSTD, err)
			p.at = int(at)
			return nil, p
		}
		frames = append(frames, uint64(n))
	}
}

// frame passes over one frame and returns its size; io.EOF at the end, with 0 if nothing was left.
func frame(in *bufio.Reader) (int64, error) {
	start, err := in.Peek(zstd.HeaderMaxSize)
	if len(start) == 0 {
		return 0, err
	}
	var h zstd.Header
	if err := h.Decode(start); err != nil {
		return 1, err
	}
	size, err := skip(in, int64(h.HeaderSize))
	if h.Skippable || err != nil {
		n, err := skip(in, int64(h.SkippableSize))
		return size + n, err
	}
	for last := false; !last; {
		head, err := in.Peek(3)
		if err != nil {
			return size, err
		}
		v := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
		last = v&1 != 0
		length := v >> 3
		switch v >> 1 & 3 {
		case 1: // one byte, repeated
			length = 1
		case 3:
			return size, errors.New("reserved kind of block")
		}
		n, err := skip(in, 3+length)
		if size += n; err != nil {
			return size, err
		}
	}
	if h.HasCheckSum {
		n, err := skip(in, 4)
		return size + n, err
	}
	return size, nil
}

func skip(in *bufio.Reader, n int64) (int64, error) {
	for left := n; left > 0; {
		d, err := in.Discard(int(min(left, 1<<30)))
		if left -= int64(d); err != nil {
			return n - left, err
		}
	}
	return n, nil
}
