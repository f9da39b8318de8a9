package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/banyan-train/banyan/store"
	"golang.org/x/sync/errgroup"
)

const (
	multipartFrom = 64 << 20 // bodies of this size and more go in parts
	partSize      = 16 << 20 // grown for bodies that would need more than maxParts
	maxParts      = 10000    // S3's own limit
	partsAtOnce   = 4
)

// Put implements store.Bucket.
func (b *Bucket) Put(
	ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool,
) (store.Info, error) {
	if end, err := body.Seek(0, io.SeekEnd); err != nil || end != size {
		return store.Info{}, fmt.Errorf("put %s: body has %d bytes, %d announced (%w)",
			b.uri(key), end, size, errors.Join(err, io.ErrUnexpectedEOF))
	}
	var etag string
	var err error
	if size < b.c.multipartFrom {
		etag, err = b.putWhole(ctx, key, body, size, ifAbsent)
	} else {
		etag, err = b.putParts(ctx, key, body, size, ifAbsent)
	}
	if errors.Is(err, errPrecondition) {
		return store.Info{}, fmt.Errorf("put %s: %w", b.uri(key), store.ErrExists)
	}
	if err != nil {
		return store.Info{}, err
	}
	return store.Info{Key: key, Size: size, ETag: etag}, nil
}

func (b *Bucket) putWhole(
	ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool,
) (etag string, err error) {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, ContentLength: &size}
	if ifAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	err = b.c.do(ctx, "put", b.uri(key), size, func(ctx context.Context, dog *watchdog) error {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return permanent{err}
		}
		in.Body = &watched{body, dog}
		out, err := b.c.api.PutObject(ctx, in)
		if err == nil {
			etag = unquote(aws.ToString(out.ETag))
		}
		return err
	})
	return etag, err
}

// partSums is what parts are checked with. An upload has to say it at its start, or some servers
// refuse its parts at the end.
func (c *Client) partSums() types.ChecksumAlgorithm {
	if c.cfg.Checksums == "when_required" {
		return ""
	}
	return types.ChecksumAlgorithmCrc32
}

// upload is one multipart upload.
type upload struct {
	b    *Bucket
	key  string
	id   string
	size int64
	part int64 // bytes of each part but the last

	mu   sync.Mutex
	done []types.CompletedPart
}

func (b *Bucket) putParts(
	ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool,
) (string, error) {
	u := &upload{b: b, key: key, size: size}
	u.part = max(b.c.partSize, (size+maxParts-1)/maxParts)
	if ifAbsent { // S3 decides at the end only; do not send gigabytes to learn it
		if _, err := b.Stat(ctx, key); err == nil {
			return "", errPrecondition
		} else if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	err := b.c.do(ctx, "put", b.uri(key), 0, func(ctx context.Context, _ *watchdog) error {
		in := &s3.CreateMultipartUploadInput{
			Bucket: &b.name, Key: &key, ChecksumAlgorithm: b.c.partSums(),
		}
		out, err := b.c.api.CreateMultipartUpload(ctx, in)
		if err == nil {
			u.id = aws.ToString(out.UploadId)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	etag, err := u.run(ctx, body, ifAbsent)
	if err != nil {
		u.abort(ctx)
	}
	return etag, err
}

func (u *upload) run(ctx context.Context, body io.ReadSeeker, ifAbsent bool) (string, error) {
	if err := u.sendAll(ctx, body); err != nil {
		return "", err
	}
	slices.SortFunc(u.done, func(x, y types.CompletedPart) int {
		return int(*x.PartNumber - *y.PartNumber)
	})
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.b.name, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
	}
	if ifAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	var etag string
	err := u.b.c.do(ctx, "put", u.b.uri(u.key), u.size,
		func(ctx context.Context, _ *watchdog) error {
			out, err := u.b.c.api.CompleteMultipartUpload(ctx, in)
			if err == nil {
				etag = unquote(aws.ToString(out.ETag))
			}
			return err
		})
	return etag, err
}

// sendAll sends the parts, several at once. A body that is not an io.ReaderAt is read in order
// into one buffer a part in flight.
func (u *upload) sendAll(ctx context.Context, body io.ReadSeeker) error {
	at, random := body.(io.ReaderAt)
	if !random {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("put %s: rewind body: %w", u.b.uri(u.key), err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for off, n := int64(0), int32(1); off < u.size; off, n = off+u.part, n+1 {
		if ctx.Err() != nil {
			break
		}
		length := min(u.part, u.size-off)
		number := n
		if random {
			part := io.NewSectionReader(at, off, length)
			g.Go(func() error { return u.send(ctx, number, part, length) })
			continue
		}
		buf := make([]byte, length)
		if _, err := io.ReadFull(body, buf); err != nil {
			g.Go(func() error { return fmt.Errorf("put %s: read body: %w", u.b.uri(u.key), err) })
			break
		}
		part := io.NewSectionReader(sliceReader(buf), 0, length)
		g.Go(func() error { return u.send(ctx, number, part, length) })
	}
	return g.Wait()
}

func (u *upload) send(ctx context.Context, n int32, part io.ReadSeeker, size int64) error {
	in := &s3.UploadPartInput{
		Bucket: &u.b.name, Key: &u.key, UploadId: &u.id, PartNumber: &n, ContentLength: &size,
	}
	what := fmt.Sprintf("%s (part %d)", u.b.uri(u.key), n)
	return u.b.c.do(ctx, "put", what, size, func(ctx context.Context, dog *watchdog) error {
		if _, err := part.Seek(0, io.SeekStart); err != nil {
			return permanent{err}
		}
		in.Body, in.ChecksumAlgorithm = &watched{part, dog}, u.b.c.partSums()
		out, err := u.b.c.api.UploadPart(ctx, in)
		if err != nil {
			return err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.done = append(u.done, types.CompletedPart{
			ETag: out.ETag, PartNumber: &n, ChecksumCRC32: out.ChecksumCRC32,
			ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
			ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
		})
		return nil
	})
}

// abortTime bounds the clean-up of a failed upload; the parts of one that outlives it are for the
// bucket's life cycle rules.
const abortTime = 10 * time.Second

func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	// A failure here changes nothing for the caller, who already has the upload's own error.
	_ = u.b.c.do(ctx, "abort", u.b.uri(u.key), 0, func(ctx context.Context, _ *watchdog) error {
		_, err := u.b.c.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &u.b.name, Key: &u.key, UploadId: &u.id,
		})
		return err
	})
}

// sliceReader is bytes.Reader without a position.
type sliceReader []byte

func (s sliceReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	n := copy(p, s[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
