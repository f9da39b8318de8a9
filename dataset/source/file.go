package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// file is one pinned file.
type file struct {
	uri         string
	bucket      store.Bucket
	key         string
	size        int64
	etag        string // S3's, or sha256:<hex> of a plain file
	format      pb.Format
	document    pb.Document // of a text file
	compression pb.Compression

	unindexed atomic.Bool // known to have no seek table

	mu       sync.Mutex
	verified bool
}

func openFile(
	stores store.Opener, pinned *pb.PinnedFile, document pb.Document,
) (*file, error) {
	bucket, key, err := stores.Open(pinned.GetUri())
	if err != nil {
		return nil, err
	}
	f := &file{
		uri: pinned.GetUri(), bucket: bucket, key: key, size: int64(pinned.GetSize()),
		etag: pinned.GetEtag(), format: pinned.GetFormat(), compression: pinned.GetCompression(),
	}
	switch {
	case f.format == pb.Format_FORMAT_UNSPECIFIED:
		f.format = pb.Format_JSONL
	case f.format == pb.Format_TXT && document == pb.Document_DOCUMENT_UNSPECIFIED:
		f.document = pb.Document_FILE
	case f.format == pb.Format_TXT:
		f.document = document
	}
	return f, nil
}

// read fills p from off, and fails with store.ErrChanged if the file is not what was pinned.
func (f *file) read(ctx context.Context, off int64, p []byte) error {
	if strings.HasPrefix(f.etag, "sha256:") {
		if err := f.verify(ctx); err != nil {
			return err
		}
	}
	err := f.bucket.ReadRange(ctx, f.key, off, p, f.etag)
	if errors.Is(err, store.ErrChanged) {
		return fmt.Errorf("%w: restore it, or launch a new run", err)
	}
	return err
}

// verify checks a hash over the whole file once, by one reader while the others wait: the store
// remembers hashes, but would compute one for each reader that comes first.
func (f *file) verify(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verified {
		return nil
	}
	info, err := f.bucket.Stat(ctx, f.key)
	if err != nil {
		return err
	}
	if info.Size != f.size || info.ETag != f.etag {
		return fmt.Errorf("%w: pinned %d bytes %s, found %d bytes %s: restore it, or launch a new "+
			"run", store.ErrChanged, f.size, f.etag, info.Size, info.ETag)
	}
	f.verified = true
	return nil
}

// maxRead is the largest range that is read ahead.
const maxRead = 1 << 20

// byteReader reads bytes [at, end) of a file in ranges of window bytes, for libraries that want an
// io.Reader. Their calls carry no context: the caller sets ctx before each. err is what the store
// said, so that it can be told from what a library makes of it.
type byteReader struct {
	file    *file
	window  int64
	most    int64 // each range is twice the one before, up to this; 0: all are the same
	at, end int64
	buf     []byte // read, but not taken
	whole   []byte // the memory of buf
	ctx     context.Context
	err     error
}

func (r *byteReader) Read(p []byte) (int, error) {
	buf, err := r.peek(r.ctx)
	n := copy(p, buf)
	r.buf = buf[n:]
	return n, err
}

// peek returns what comes next, at least a byte of it, and does not take it.
func (r *byteReader) peek(ctx context.Context) ([]byte, error) {
	if len(r.buf) > 0 {
		return r.buf, nil
	}
	n := min(r.window, r.end-r.at)
	if n <= 0 {
		return nil, io.EOF
	}
	if int64(cap(r.whole)) < n {
		r.whole = make([]byte, n)
	}
	if r.err = r.file.read(ctx, r.at, r.whole[:n]); r.err != nil {
		return nil, r.err
	}
	r.buf, r.at = r.whole[:n], r.at+n
	r.window = max(r.window, min(2*r.window, r.most))
	return r.buf, nil
}
