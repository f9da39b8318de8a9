package source

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// maxWindow bounds the memory of one zstd decoder: what `zstd -d` allows without further options.
const maxWindow = 128 << 20

// decoderBytes is about what a decoder holds beside the window of its data.
const decoderBytes = 512 << 10

// newDecoder decompresses r, and says about how many bytes it holds. The caller must Close it.
func newDecoder(c pb.Compression, r *byteReader) (io.ReadCloser, int64, error) {
	if c == pb.Compression_GZIP {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, 0, err // not a nil *Reader in an interface
		}
		return z, 64 << 10, nil
	}
	start, err := r.peek(r.ctx)
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	needs := int64(decoderBytes)
	var h zstd.Header
	if h.Decode(start) == nil && h.SingleSegment {
		needs += int64(min(h.FrameContentSize, maxWindow))
	} else {
		needs += int64(min(h.WindowSize, maxWindow))
	}
	d := idle.Get()
	if d == nil {
		made, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1<<62))
		if err != nil {
			return nil, 0, err
		}
		d = made
	}
	z := &zstdDecoder{d.(*zstd.Decoder)}
	if err := z.Reset(r); err != nil {
		return nil, 0, err
	}
	return z, needs, nil
}

// idle are zstd decoders between two blocks; each has megabytes of tables and history.
var idle sync.Pool

type zstdDecoder struct{ *zstd.Decoder }

func (z *zstdDecoder) Close() error {
	if err := z.Reset(nil); err == nil {
		idle.Put(z.Decoder)
	}
	return nil
}

// testOf is the command that checks a compressed file.
func testOf(c pb.Compression) string {
	if c == pb.Compression_ZSTD {
		return "zstd -t"
	}
	return "gzip -t"
}

// damaged explains what a decoder says about bytes that are as they were pinned.
func damaged(c pb.Compression, err error) *problem {
	name := "gzip"
	if c == pb.Compression_ZSTD {
		name = "zstd"
	}
	p := &problem{what: fmt.Sprintf("the %s data is damaged here: %v", name, err),
		fix: fmt.Sprintf("check the file with %s and make it anew", testOf(c))}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.what = fmt.Sprintf("the %s data ends too early", name)
		p.fix = "the file was cut off; copy or make it anew"
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		p.what = fmt.Sprintf("decompressing needs a window over %d MiB", maxWindow>>20)
		p.fix = "compress it without --long, or with --long=27 at most"
	}
	return p
}
