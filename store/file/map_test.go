//go:build unix

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/store"
)

// mapped is a mapped file of three pages and its path.
func mapped(t *testing.T) (store.Mapping, string) {
	t.Helper()
	dir, ctx := t.TempDir(), context.Background()
	b := New(dir)
	info, err := b.Put(ctx, "k", strings.NewReader(strings.Repeat("x", 3*4096)), 3*4096, false)
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Map(ctx, "k", info.ETag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, filepath.Join(dir, "k")
}

func TestMapShowsTheFile(t *testing.T) {
	m, _ := mapped(t)
	err := m.View(context.Background(), 4000, 200, func(p []byte) error {
		if !bytes.Equal(p, bytes.Repeat([]byte("x"), 200)) {
			t.Errorf("shows %q", p)
		}
		return io.ErrNoProgress // any error comes back
	})
	if err != io.ErrNoProgress {
		t.Errorf("error is %v", err)
	}
	for _, r := range [][2]int64{{-1, 1}, {0, 3*4096 + 1}, {3 * 4096, 1}, {1 << 62, 1 << 62},
		{0, -1}} {
		err := m.View(context.Background(), r[0], r[1], func([]byte) error { return nil })
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("bytes %v: error is %v", r, err)
		}
	}
}

// I13: a file truncated under the mapping is an error of that read, not the process's end.
func TestI13_TruncatedWhileMapped(t *testing.T) {
	m, path := mapped(t)
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	reached := false
	sum := 0
	err := m.View(context.Background(), 0, 3*4096, func(p []byte) error {
		for _, b := range p {
			sum += int(b)
		}
		reached = true
		return nil
	})
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "truncated") || reached {
		t.Errorf("error is %v (read to the end: %v)", err, reached)
	}
}

// Bytes written into the mapped file are noticed; a file that replaces it is not the one mapped.
func TestMappedFileIsPinned(t *testing.T) {
	ctx := context.Background()
	nothing := func([]byte) error { return nil }
	m, path := mapped(t)
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.View(ctx, 0, 1, nothing); err != nil {
		t.Errorf("replaced: %v", err)
	}
	f, err := os.OpenFile(path+"2", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("y"), 5000); err != nil {
		t.Fatal(err)
	}
	if err := m.View(ctx, 0, 1, nothing); !errors.Is(err, store.ErrChanged) {
		t.Errorf("written into: error is %v", err)
	}
}

func TestMapRefuses(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	b := New(dir)
	if _, err := b.Map(ctx, "none", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
	if _, err := b.Map(ctx, "../x", ""); err == nil {
		t.Error("a key outside passed")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Map(ctx, "d", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("folder: %v", err)
	}
	if _, err := b.Put(ctx, "e", strings.NewReader(""), 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Map(ctx, "e", "sha256:0"); !errors.Is(err, store.ErrChanged) {
		t.Errorf("another tag: %v", err)
	}
	m, err := b.Map(ctx, "e", "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.View(ctx, 0, 1, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("empty file: %v", err)
	}
	gone, stop := context.WithTimeout(ctx, -time.Second)
	defer stop()
	if err := m.View(gone, 0, 0, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended context: %v", err)
	}
}
