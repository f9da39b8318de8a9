package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/banyan-train/banyan/store"
)

// List implements store.Bucket. It walks only the directory the prefix lies in. Symbolic links to
// files are listed; those to directories are not followed, as they may form a loop.
func (b *Bucket) List(ctx context.Context, prefix string) ([]store.Info, error) {
	dir, _ := path.Split(prefix)
	dir = strings.TrimSuffix(dir, "/")
	if dir != "" {
		if _, err := b.path(dir); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(b.root); err != nil {
		return nil, b.explain("list", b.root, err)
	}
	var out []store.Info
	if err := b.walk(ctx, dir, prefix, &out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(x, y store.Info) int { return strings.Compare(x.Key, y.Key) })
	return out, nil
}

func (b *Bucket) walk(ctx context.Context, dir, prefix string, out *[]store.Info) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	full := filepath.Join(b.root, filepath.FromSlash(dir))
	entries, err := os.ReadDir(full)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // no such prefix, or deleted meanwhile
	}
	if err != nil {
		return b.explain("list", full, err)
	}
	for _, e := range entries {
		key := path.Join(dir, e.Name())
		if e.IsDir() {
			if sub := key + "/"; strings.HasPrefix(sub, prefix) || strings.HasPrefix(prefix, sub) {
				if err := b.walk(ctx, key, prefix, out); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) || strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		st, err := os.Stat(filepath.Join(full, e.Name()))
		if err != nil || !st.Mode().IsRegular() {
			continue // a dangling link, a socket, or deleted meanwhile: not an object
		}
		*out = append(*out, store.Info{Key: key, Size: st.Size()})
	}
	return nil
}

// pruneLevels bounds how many directories above a deleted object go when they are empty:
// "step-<n>/gen-<g>" of a checkpoint. Whatever is above belongs to the user.
const pruneLevels = 2

// Delete implements store.Bucket. Object stores have no directories, so those that become empty
// (two levels at most) are removed too.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	name, err := b.path(key)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if st, err := os.Lstat(name); err == nil && st.IsDir() {
		return nil // a directory is not an object
	}
	err = os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		if _, e := os.Stat(b.root); e != nil {
			return b.explain("delete", name, err)
		}
		return nil
	}
	if err != nil {
		return b.explain("delete", name, err)
	}
	dir := filepath.Dir(name)
	for i := 0; i < pruneLevels && dir != b.root; i++ {
		sweepTemps(dir)
		if os.Remove(dir) != nil {
			break // not empty
		}
		dir = filepath.Dir(dir)
	}
	if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.explain("delete", name, err)
	}
	return nil
}

// A temporary file this old has no writer any more.
const tempLife = time.Hour

func sweepTemps(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 64 {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if time.Since(info.ModTime()) > tempLife {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
