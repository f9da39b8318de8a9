package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/banyan-train/banyan/store"
)

// tempPrefix starts the names of files that are being written. They are never listed.
const tempPrefix = ".banyan-put-"

// Put implements store.Bucket: the file and every directory made for it are on disk on return.
func (b *Bucket) Put(
	ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool,
) (store.Info, error) {
	name, err := b.path(key)
	if err != nil {
		return store.Info{}, err
	}
	if ifAbsent {
		// Early answer only; link(2) below decides.
		if _, err := os.Lstat(name); err == nil {
			return store.Info{}, fmt.Errorf("put file://%s: %w", name, store.ErrExists)
		}
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return store.Info{}, fmt.Errorf("put file://%s: rewind body: %w", name, err)
	}
	fresh := missing(filepath.Dir(name))
	f, err := b.temp(filepath.Dir(name))
	if err != nil {
		removeEmpty(fresh)
		return store.Info{}, b.explainPut(name, size, err)
	}
	tag, err := fill(ctx, f, body, size)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = publish(f.Name(), name, ifAbsent)
	}
	if err != nil {
		os.Remove(f.Name())
		removeEmpty(fresh)
		return store.Info{}, b.explainPut(name, size, err)
	}
	return store.Info{Key: key, Size: size, ETag: tag}, nil
}

// missing lists the directories that have to be made for dir to be there, the deepest first.
func missing(dir string) (out []string) {
	for {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return out
		}
		out = append(out, dir)
		dir = filepath.Dir(dir)
	}
}

// removeEmpty takes back directories that were made for an object that is not there after all: on a
// full disk no listing would ever find them.
func removeEmpty(dirs []string) {
	for _, dir := range dirs {
		if os.Remove(dir) != nil {
			return // somebody else uses it by now
		}
	}
}

// temp makes the directory and a temporary file in it. A Delete may prune the directory between
// its steps, hence the further tries.
func (b *Bucket) temp(dir string) (*os.File, error) {
	for try := 0; ; try++ {
		var f *os.File
		err := b.mkdirAll(dir)
		if err == nil {
			f, err = os.CreateTemp(dir, tempPrefix+"*")
		}
		if err == nil {
			err = f.Chmod(0o644) // objects are shared; CreateTemp makes them private
		}
		if try < 3 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return f, err
	}
}

// mkdirAll makes dir below the root and syncs each directory that gained an entry.
func (b *Bucket) mkdirAll(dir string) error {
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if dir == b.root || dir == filepath.Dir(dir) {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrNotExist}
	}
	parent := filepath.Dir(dir)
	if err := b.mkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// fill writes exactly size bytes of body, syncs them, and returns their tag.
func fill(ctx context.Context, f *os.File, body io.Reader, size int64) (string, error) {
	h := sha256.New()
	buf := make([]byte, max(1, min(size, 1<<20)))
	for done := int64(0); done < size; {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n := min(int64(len(buf)), size-done)
		if _, err := io.ReadFull(body, buf[:n]); err != nil {
			return "", fmt.Errorf("read body at byte %d of %d: %w", done, size, err)
		}
		h.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return "", err
		}
		done += n
	}
	if n, _ := io.ReadFull(body, buf[:1]); n > 0 {
		return "", fmt.Errorf("body is longer than the %d bytes announced", size)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), f.Sync()
}

// publish gives the temporary file its name, atomically, and syncs the directory.
func publish(temp, name string, ifAbsent bool) error {
	if ifAbsent {
		if err := os.Link(temp, name); err != nil {
			return err
		}
		os.Remove(temp)
	} else if err := os.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// explainPut is explain for writes: a full disk is told with what was needed and what was free.
func (b *Bucket) explainPut(name string, size int64, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("put file://%s: %w", name, store.ErrExists)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		free := "unknown"
		var st syscall.Statfs_t
		if syscall.Statfs(filepath.Dir(name), &st) == nil {
			free = fmt.Sprint(st.Bavail * uint64(st.Bsize))
		}
		return fmt.Errorf("put file://%s: %w (%w): needs %d bytes, %s are free; "+
			"make room or write elsewhere", name, store.ErrFull, cause(err), size, free)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("put file://%s: an element of its path is a file: %w", name, err)
	default:
		return b.explain("put", name, err)
	}
}
