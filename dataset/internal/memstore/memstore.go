package memstore

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/banyan-train/banyan/store"
)

var (
	_ store.Opener = (*Store)(nil)
	_ store.Bucket = (*Store)(nil)
)

// Store is one bucket whose keys are URIs. Safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	objects map[string]object
	reads   int
	bytes   int64
	// Before, if set, runs before each range read, and its error is the read's. Set it before use.
	Before func(ctx context.Context, key string) error
}

// object is what lies under a key, with its tag: hashing it at every read would cost more than
// what is measured over it.
type object struct {
	data []byte
	etag string
}

// New returns an empty store.
func New() *Store { return &Store{objects: map[string]object{}} }

// Set puts or replaces an object.
func (s *Store) Set(uri string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[uri] = object{data, fmt.Sprintf("%x", md5.Sum(data))}
}

// Reads returns the number of range reads so far, and their bytes.
func (s *Store) Reads() (int, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.bytes
}

// Open takes any URI.
func (s *Store) Open(uri string) (store.Bucket, string, error) { return s, uri, nil }

func info(key string, o object) store.Info {
	return store.Info{Key: key, Size: int64(len(o.data)), ETag: o.etag}
}

// Put implements store.Bucket.
func (s *Store) Put(
	ctx context.Context, key string, body io.ReadSeeker, _ int64, ifAbsent bool,
) (store.Info, error) {
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return store.Info{}, err
	}
	s.mu.Lock()
	_, there := s.objects[key]
	s.mu.Unlock()
	if there && ifAbsent {
		return store.Info{}, fmt.Errorf("put %s: %w", key, store.ErrExists)
	}
	s.Set(key, data)
	return s.Stat(ctx, key)
}

// Delete implements store.Bucket.
func (s *Store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// ReadRange implements store.Bucket.
func (s *Store) ReadRange(ctx context.Context, key string, off int64, p []byte, etag string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Before != nil {
		if err := s.Before(ctx, key); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.bytes += int64(len(p))
	o, ok := s.objects[key]
	switch {
	case !ok:
		return fmt.Errorf("read %s: %w", key, store.ErrNotFound)
	case etag != "" && etag != o.etag:
		return fmt.Errorf("read %s: %w", key, store.ErrChanged)
	case off < 0 || off+int64(len(p)) > int64(len(o.data)):
		return fmt.Errorf("read %s: range %d+%d of %d bytes", key, off, len(p), len(o.data))
	}
	copy(p, o.data[off:])
	return nil
}

// Stat implements store.Bucket.
func (s *Store) Stat(_ context.Context, key string) (store.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, store.ErrNotFound)
	}
	return info(key, o), nil
}

// List implements store.Bucket.
func (s *Store) List(_ context.Context, prefix string) ([]store.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []store.Info
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) {
			infos = append(infos, info(key, o))
		}
	}
	slices.SortFunc(infos, func(a, b store.Info) int { return strings.Compare(a.Key, b.Key) })
	return infos, nil
}
