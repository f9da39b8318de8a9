package source

import (
	"context"
	"errors"
	"io"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// content is the plain bytes from some place of a block on: to its end, and on to the end of the
// file, as the last record of a block may end behind it.
type content interface {
	// more appends the bytes that come next to dst, at least one and about want of them. It fails
	// with io.EOF at the end of the file. After an error of the store or of ctx the content is of
	// no more use; another one may be opened where it stood.
	more(ctx context.Context, dst []byte, want int64) ([]byte, error)
	// last is the last position at which a record of the block may start. Until it is known it is
	// more than all positions given out so far.
	last() int64
	close()
	held() int64 // about how many bytes
}

// opener opens the content of a block at a position.
type opener interface {
	open(ctx context.Context, at int64) (content, error)
	// bounds are the position where the block starts, which offsets in it count from, and the one
	// to open to see where its first record starts: behind the first newline from there on.
	bounds() (origin, before int64)
}

// plain is the content of a file that is not compressed: positions are byte offsets in the file.
type plain struct {
	file   *file
	extent Extent
	tail   int64 // read beyond the end of the block, as its last record usually ends there
	at     int64
}

func (p plain) open(_ context.Context, at int64) (content, error) {
	p.at = at
	return &p, nil
}

// more reads what is wanted, and a little beyond the end of the block; further reads behind the
// block are as long as its last record is already.
func (p *plain) more(ctx context.Context, dst []byte, want int64) ([]byte, error) {
	left := p.file.size - p.at
	if left <= 0 {
		return dst, io.EOF
	}
	n := min(p.extent.End+p.tail-p.at, want)
	if p.at >= p.extent.End {
		n = max(int64(len(dst)), 2*p.tail)
	}
	n = min(n, left)
	dst, room := extend(dst, n)
	if err := p.file.read(ctx, p.at, room); err != nil {
		return dst[:len(dst)-len(room)], err
	}
	p.at += n
	return dst, nil
}

func (p plain) bounds() (origin, before int64) {
	return p.extent.Start, p.extent.Start - 1 // a record starts at the start if a newline is there
}

func (p *plain) last() int64 { return p.extent.End - 1 }
func (p *plain) close()      {}
func (p *plain) held() int64 { return 0 }

// extend lengthens dst by n bytes and returns it with the new part. It grows a buffer to what is
// needed, not to the next size class: there is one for every slot and source.
func extend(dst []byte, n int64) (whole, room []byte) {
	have := len(dst)
	if int64(cap(dst)-have) >= n {
		whole = dst[:have+int(n)]
	} else {
		whole = make([]byte, have+int(n))
		copy(whole, dst)
	}
	return whole, whole[have:]
}

// packed is the content of a compressed file: positions are byte offsets in what the block's bytes
// hold when they are decompressed, and go on behind it. What the block before ends with is not
// known without decompressing it all; so a record that starts where a block starts is read by the
// one before, as its last.
type packed struct {
	file   *file
	extent Extent
	window int64
	frames *frameList
}

// open decompresses from the start of the block, or of a later frame if the file has a seek table,
// and drops what lies before at.
func (p packed) open(ctx context.Context, at int64) (content, error) {
	start := frameAt{raw: p.extent.Start, size: -1}
	if at > p.window { // less is sooner decompressed than looked up
		var err error
		if start, err = p.before(ctx, at); err != nil {
			return nil, err
		}
	}
	u := &unpacked{packed: p, raw: p.reader(start.raw, p.extent.End), at: start.text,
		stop: math.MaxInt64}
	if start.size >= 0 {
		head, err := u.raw.peek(ctx)
		if err == nil {
			err = start.check(head)
		}
		if err != nil {
			return nil, err
		}
	}
	var scrap []byte
	for u.at < at {
		var err error
		if scrap, err = u.more(ctx, scrap[:0], min(at-u.at, p.window)); err != nil {
			u.close()
			if errors.Is(err, io.EOF) {
				err = errNoRecord // the text ends before a place that a cursor names
			}
			return nil, err
		}
	}
	return u, nil
}

// reader reads ever larger ranges, up to 32 windows: much is passed over where a block is entered
// in its middle.
func (p packed) reader(from, to int64) *byteReader {
	return &byteReader{file: p.file, window: p.window, most: min(32*p.window, maxRead), at: from,
		end: to}
}

// unpacked is an open packed.
type unpacked struct {
	packed
	raw   *byteReader
	text  io.ReadCloser // nil: to be made; the block's, then that of what follows
	needs int64         // bytes that text holds
	at    int64
	stop  int64 // where the block ends, once that is known
}

func (u *unpacked) more(ctx context.Context, dst []byte, want int64) ([]byte, error) {
	want = min(max(want, 1), 4*u.window)
	dst, room := extend(dst, want)
	filled := 0
	for filled == 0 {
		n, err := u.fill(ctx, room)
		filled += n
		if err == io.EOF && u.stop == math.MaxInt64 {
			u.stop = u.at + int64(filled)
			err = u.follow()
		}
		if err != nil && filled == 0 {
			return dst[:len(dst)-len(room)], err
		}
	}
	u.at += int64(filled)
	return dst[:len(dst)-len(room)+filled], nil
}

// fill reads once into room. io.EOF stands behind the whole of the text.
func (u *unpacked) fill(ctx context.Context, room []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	u.raw.ctx = ctx
	var err error
	if u.text == nil {
		u.text, u.needs, err = newDecoder(u.file.compression, u.raw)
	}
	n := 0
	if err == nil {
		n, err = u.text.Read(room)
	}
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case u.raw.err != nil:
		return n, u.raw.err
	}
	return n, damaged(u.file.compression, err)
}

// follow goes on to what stands behind the block in the file.
func (u *unpacked) follow() error {
	if u.text != nil {
		u.text.Close()
		u.text = nil
	}
	if u.extent.End >= u.file.size {
		return io.EOF
	}
	u.raw = u.reader(u.extent.End, u.file.size)
	return nil
}

func (p packed) bounds() (origin, before int64) { return 0, 0 }

func (u *unpacked) last() int64 { return u.stop }

func (u *unpacked) close() {
	if u.text != nil {
		u.text.Close()
	}
}

func (u *unpacked) held() int64 {
	n := int64(cap(u.raw.whole))
	if u.text != nil {
		n += u.needs
	}
	return n
}

// contentOf says how the bytes of a text block are come by.
func contentOf(f *file, e Extent, window int64) opener {
	if f.compression == pb.Compression_COMPRESSION_UNSPECIFIED {
		return plain{file: f, extent: e, tail: window/64 + 1}
	}
	return packed{file: f, extent: e, window: window, frames: &frameList{}}
}
