package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banyan-train/banyan/store"
)

var (
	_ store.Bucket = (*Bucket)(nil)
	_ store.Linker = (*Bucket)(nil)
)

// Bucket is one directory as a bucket. Safe for concurrent use, also by several processes.
type Bucket struct {
	root string
	sums *sumCache
}

// New returns the bucket whose keys are paths below root. A root that is not there makes every
// call fail with store.ErrNoBucket; directories below it are made as needed.
func New(root string) *Bucket {
	return &Bucket{root: filepath.Clean(root), sums: newSumCache()}
}

// path turns a key into a path, or says why it cannot.
func (b *Bucket) path(key string) (string, error) {
	if !fs.ValidPath(key) || key == "." || strings.ContainsRune(key, 0) {
		return "", fmt.Errorf("file key %q below %s: must be a relative path without empty, "+
			". or .. elements", key, b.root)
	}
	if strings.HasPrefix(path.Base(key), tempPrefix) {
		return "", fmt.Errorf("file key %q below %s: names starting with %s are reserved",
			key, b.root, tempPrefix)
	}
	return filepath.Join(b.root, filepath.FromSlash(key)), nil
}

// Target implements store.Linker.
func (b *Bucket) Target(key string) (string, error) {
	name, err := b.path(key)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", b.explain("follow", name, err)
	}
	below, err := filepath.Rel(b.root, target)
	if err != nil {
		return "", b.explain("follow", name, err)
	}
	return filepath.ToSlash(below), nil
}

// ReadRange implements store.Bucket.
func (b *Bucket) ReadRange(
	ctx context.Context, key string, off int64, p []byte, etag string,
) error {
	name, err := b.path(key)
	if err != nil {
		return err
	}
	if off < 0 {
		return fmt.Errorf("read file://%s: negative offset %d", name, off)
	}
	f, st, err := b.open("read", name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.checkTag(ctx, f, st, name, etag); err != nil {
		return err
	}
	if off+int64(len(p)) > st.Size() {
		return fmt.Errorf("read file://%s: bytes %d..%d of a file of %d bytes: %w",
			name, off, off+int64(len(p)), st.Size(), io.ErrUnexpectedEOF)
	}
	if _, err := readAt(ctx, f, p, off); err != nil {
		return b.explain("read", name, err)
	}
	return nil
}

// checkTag fails with ErrChanged unless the open file still has the content the tag names.
func (b *Bucket) checkTag(
	ctx context.Context, f *os.File, st os.FileInfo, name, etag string,
) error {
	if etag == "" {
		return nil
	}
	got, err := b.sums.sum(ctx, f, st)
	if err != nil {
		return b.explain("hash", name, err)
	}
	if got != etag {
		return fmt.Errorf("read file://%s: content is %s, expected %s: %w",
			name, got, etag, store.ErrChanged)
	}
	return nil
}

// Stat implements store.Bucket. It reads the whole file once to make its ETag.
func (b *Bucket) Stat(ctx context.Context, key string) (store.Info, error) {
	name, err := b.path(key)
	if err != nil {
		return store.Info{}, err
	}
	f, st, err := b.open("stat", name)
	if err != nil {
		return store.Info{}, err
	}
	defer f.Close()
	tag, err := b.sums.sum(ctx, f, st)
	if err != nil {
		return store.Info{}, b.explain("stat", name, err)
	}
	return store.Info{Key: key, Size: st.Size(), ETag: tag}, nil
}

// open opens a file. It looks first: to open a pipe is to wait for whoever writes to it.
func (b *Bucket) open(verb, name string) (*os.File, os.FileInfo, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, nil, b.explain(verb, name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s file://%s: not a regular file: %w", verb, name,
			store.ErrNotFound)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, b.explain(verb, name, err)
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, b.explain(verb, name, err)
	}
	return f, st, nil
}

// explain maps a file system error to store's classes, names the path and says what to do.
func (b *Bucket) explain(verb, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if _, e := os.Stat(b.root); errors.Is(e, fs.ErrNotExist) {
			return fmt.Errorf("%s file://%s: directory %s does not exist; create it: %w",
				verb, name, b.root, store.ErrNoBucket)
		}
		return fmt.Errorf("%s file://%s: %w", verb, name, store.ErrNotFound)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s file://%s as uid %d: %w (%v)",
			verb, name, os.Getuid(), store.ErrDenied, cause(err))
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EIO):
		return fmt.Errorf("%s file://%s: %w (%v)", verb, name, store.ErrUnreachable, cause(err))
	default:
		return fmt.Errorf("%s file://%s: %w", verb, name, err)
	}
}

// cause strips the path that os adds, as ours is in the message already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
