package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/banyan-train/banyan/store"
)

var _ store.Bucket = (*Bucket)(nil)

// Bucket is one S3 bucket. Safe for concurrent use.
type Bucket struct {
	c    *Client
	name string
}

func (b *Bucket) uri(key string) string { return "s3://" + b.name + "/" + key }

// maxRange is the most one GET asks for, so that a broken connection costs no more than this.
const maxRange = 64 << 20

// ReadRange implements store.Bucket. Ranges over 64 MiB go in several requests, all pinned to the
// ETag of the first when the caller pins none.
func (b *Bucket) ReadRange(
	ctx context.Context, key string, off int64, p []byte, etag string,
) error {
	if off < 0 {
		return fmt.Errorf("read %s: negative offset %d", b.uri(key), off)
	}
	if len(p) == 0 { // HTTP has no empty range
		info, err := b.Stat(ctx, key)
		if err == nil && etag != "" && info.ETag != etag {
			err = changed(b.uri(key), etag, info.ETag)
		}
		if err == nil && off > info.Size {
			err = fmt.Errorf("read %s: byte %d of an object of %d: %w",
				b.uri(key), off, info.Size, io.ErrUnexpectedEOF)
		}
		return err
	}
	for len(p) > 0 {
		n := min(len(p), maxRange)
		got, err := b.get(ctx, key, off, p[:n], etag)
		if err != nil {
			return err
		}
		etag, off, p = got, off+int64(n), p[n:]
	}
	return nil
}

// get fills p by one GET, tried as often as needed, and returns the object's ETag.
func (b *Bucket) get(
	ctx context.Context, key string, off int64, p []byte, etag string,
) (string, error) {
	in := &s3.GetObjectInput{
		Bucket: &b.name, Key: &key,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)),
	}
	if etag != "" {
		in.IfMatch = aws.String(quote(etag))
	}
	var got string
	err := b.c.do(ctx, "read", b.uri(key), 0, func(ctx context.Context, dog *watchdog) error {
		out, err := b.c.api.GetObject(ctx, in)
		if err != nil {
			return err
		}
		defer out.Body.Close()
		dog.pat()
		want := fmt.Sprintf("bytes %d-%d/", off, off+int64(len(p))-1)
		if cr := aws.ToString(out.ContentRange); !strings.HasPrefix(cr, want) {
			return permanent{fmt.Errorf("wanted %s but the server has %q: %w",
				strings.TrimSuffix(want, "/"), cr, io.ErrUnexpectedEOF)}
		}
		got = unquote(aws.ToString(out.ETag))
		if etag != "" && got != etag { // a server that ignores If-Match
			return permanent{changed(b.uri(key), etag, got)}
		}
		_, err = io.ReadFull(&patting{out.Body, dog}, p)
		return err
	})
	switch {
	case errors.Is(err, errPrecondition):
		return "", changed(b.uri(key), etag, "another")
	case statusOf(err) == http.StatusRequestedRangeNotSatisfiable:
		return "", fmt.Errorf("read %s: byte %d lies past its end: %w",
			b.uri(key), off, io.ErrUnexpectedEOF)
	case errors.Is(err, store.ErrNotFound):
		return "", b.missing(ctx, key, err)
	}
	return got, err
}

// patting is a plain reader that pats the dog.
type patting struct {
	io.Reader
	dog *watchdog
}

func (r *patting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.dog.pat()
	}
	return n, err
}

func changed(uri, want, got string) error {
	return fmt.Errorf("read %s: its ETag is %s, expected %s: %w", uri, got, want, store.ErrChanged)
}

// Stat implements store.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (store.Info, error) {
	info := store.Info{Key: key}
	err := b.c.do(ctx, "stat", b.uri(key), 0, func(ctx context.Context, _ *watchdog) error {
		out, err := b.c.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
		if err != nil {
			return err
		}
		info.Size, info.ETag = aws.ToInt64(out.ContentLength), unquote(aws.ToString(out.ETag))
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		err = b.missing(ctx, key, err)
	}
	if err != nil {
		return store.Info{}, err
	}
	return info, nil
}

// missing finds out what a bare 404 meant: the answer to a HEAD has no body to say whether the
// object, the bucket or (on some servers) the access key is unknown. A listing says.
func (b *Bucket) missing(ctx context.Context, key string, notFound error) error {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, MaxKeys: aws.Int32(1)}
	var code string
	err := b.c.do(ctx, "open", b.uri(key), 0, func(ctx context.Context, _ *watchdog) error {
		_, err := b.c.api.ListObjectsV2(ctx, in)
		code = codeOf(err)
		return err
	})
	if errors.Is(err, store.ErrNoBucket) || unknownKey(code) {
		return err
	}
	return notFound
}

// List implements store.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string) ([]store.Info, error) {
	var out []store.Info
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	for {
		var page *s3.ListObjectsV2Output
		err := b.c.do(ctx, "list", b.uri(prefix), 0,
			func(ctx context.Context, _ *watchdog) (err error) {
				page, err = b.c.api.ListObjectsV2(ctx, in)
				return err
			})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			out = append(out, store.Info{
				Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size),
				ETag: unquote(aws.ToString(o.ETag)),
			})
		}
		if !aws.ToBool(page.IsTruncated) || aws.ToString(page.NextContinuationToken) == "" {
			break
		}
		in.ContinuationToken = page.NextContinuationToken
	}
	slices.SortFunc(out, func(x, y store.Info) int { return strings.Compare(x.Key, y.Key) })
	return out, nil
}

// Delete implements store.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := b.c.do(ctx, "delete", b.uri(key), 0, func(ctx context.Context, _ *watchdog) error {
		_, err := b.c.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func quote(etag string) string   { return `"` + etag + `"` }
func unquote(etag string) string { return strings.Trim(etag, `"`) }
