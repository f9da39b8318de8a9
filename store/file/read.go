package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Work between two looks at ctx.
const slice = 4 << 20

// readAt fills p from off and gives up when ctx ends.
func readAt(ctx context.Context, f io.ReaderAt, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		end := min(done+slice, len(p))
		n, err := f.ReadAt(p[done:end], off+int64(done))
		done += n
		if n == 0 || (err != nil && done < len(p)) {
			if err == io.EOF || err == nil {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
	}
	return done, nil
}

// version identifies the content of a file without reading it.
type version struct {
	dev, ino, size uint64
	mtime, ctime   syscall.Timespec
}

// sumCache remembers the tags of files it has hashed.
type sumCache struct {
	mu   sync.Mutex
	tags map[version]string
}

// A run pins some thousands of files at most; beyond this the cache starts over.
const maxSums = 1 << 14

// A file that changed this recently may change again under the same time stamp (kernels tick in
// milliseconds), so its tag is not remembered yet.
const settle = 100 * time.Millisecond

func newSumCache() *sumCache { return &sumCache{tags: make(map[version]string)} }

// sum returns the tag of an open file, hashing it unless this version of it is known.
func (c *sumCache) sum(ctx context.Context, f *os.File, st os.FileInfo) (string, error) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return hashFile(ctx, f, st.Size())
	}
	v := version{
		dev: uint64(sys.Dev), ino: sys.Ino, size: uint64(sys.Size),
		mtime: sys.Mtim, ctime: sys.Ctim,
	}
	c.mu.Lock()
	tag, known := c.tags[v]
	c.mu.Unlock()
	if known {
		return tag, nil
	}
	changed := time.Unix(sys.Ctim.Unix())
	settled := time.Since(changed) > settle
	tag, err := hashFile(ctx, f, st.Size())
	if err != nil || !settled {
		return tag, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tags) >= maxSums {
		clear(c.tags)
	}
	c.tags[v] = tag
	return tag, nil
}

func hashFile(ctx context.Context, f io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	buf := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; {
		n := min(int64(len(buf)), size-off)
		if _, err := readAt(ctx, f, buf[:n], off); err != nil {
			return "", err
		}
		h.Write(buf[:n])
		off += n
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
