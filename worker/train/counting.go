package train

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/banyan-train/banyan/store"
)

// counting is an opener of buckets that count what is read of the bodies put into them: how one
// sees from outside that a slow upload moves.
type counting struct {
	store.Opener
	moved *atomic.Int64
}

// Open implements store.Opener.
func (c counting) Open(uri string) (store.Bucket, string, error) {
	b, key, err := c.Opener.Open(uri)
	if err != nil {
		return nil, "", err
	}
	return countingBucket{b, c.moved}, key, nil
}

type countingBucket struct {
	store.Bucket
	moved *atomic.Int64
}

// Put implements store.Bucket.
func (b countingBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64,
	ifAbsent bool,
) (store.Info, error) {
	if random, ok := body.(randomReader); ok { // all that checkpoints are made of
		body = counted{random, b.moved}
	}
	return b.Bucket.Put(ctx, key, body, size, ifAbsent)
}

// randomReader is a body that an upload may take in parts, several at once.
type randomReader interface {
	io.ReadSeeker
	io.ReaderAt
}

type counted struct {
	randomReader
	moved *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	c.moved.Add(1)
	return c.randomReader.Read(p)
}

// ReadAt implements io.ReaderAt.
func (c counted) ReadAt(p []byte, off int64) (int, error) {
	c.moved.Add(1)
	return c.randomReader.ReadAt(p, off)
}
