package store

import (
	"context"
	"errors"
	"io"
)

// Info describes one object.
type Info struct {
	Key  string
	Size int64
	// ETag changes when the content does. S3: the store's ETag, without quotes. Files:
	// "sha256:<hex>" from Stat; List leaves it empty for files (hashing is not free).
	ETag string
}

// Bucket is one bucket, or one directory. Safe for concurrent use. Transient errors are retried
// inside with jitter until ctx ends or the backend's limit; what comes out is final.
type Bucket interface {
	// Put writes a whole object. It is durable when Put returns nil. With ifAbsent, an object
	// already there fails with ErrExists and is left alone. On error nothing is visible under key.
	Put(ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool) (Info, error)
	// ReadRange reads exactly len(p) bytes from off, or fails. A non-empty etag pins the content:
	// a changed object fails with ErrChanged.
	ReadRange(ctx context.Context, key string, off int64, p []byte, etag string) error
	// Stat fails with ErrNotFound when there is no such object.
	Stat(ctx context.Context, key string) (Info, error)
	// List returns all objects whose key has the prefix, by ascending key.
	List(ctx context.Context, prefix string) ([]Info, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Errors of every backend are wrapped with the URI and a hint; these say which kind they are.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrChanged     = errors.New("content changed since it was pinned")
	ErrDenied      = errors.New("access denied")
	ErrNoBucket    = errors.New("no such bucket")
	ErrUnreachable = errors.New("store unreachable")
	ErrFull        = errors.New("store is full")
)

// Opener turns a URI into a Bucket and the key inside it.
type Opener interface {
	Open(uri string) (Bucket, string, error)
}

// Linker is a Bucket whose keys may be links to others.
type Linker interface {
	// Target is the key that a key leads to in the end; the key itself where there is no link.
	Target(key string) (string, error)
}

// Mapper is a Bucket that can show an object without copying it: a local file by mmap.
type Mapper interface {
	// Map pins an object to its ETag as ReadRange does, and fails with the same errors. A system
	// that cannot map the file fails with errors.ErrUnsupported; the caller then reads ranges.
	Map(ctx context.Context, key, etag string) (Mapping, error)
}

// Mapping is an object in memory, read-only. Safe for concurrent use.
type Mapping interface {
	// View shows bytes [off, off+n) to use, which must neither write to them, nor keep them, nor
	// hand them to another goroutine. It returns use's error. When the object was changed or
	// truncated meanwhile, View fails with ErrChanged, and what use took from it is void.
	View(ctx context.Context, off, n int64, use func(p []byte) error) error
	// Close frees the memory. No View may be running or follow.
	Close() error
}
