package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Backend{
		Bucket:  New(t.TempDir()),
		Missing: New(filepath.Join(t.TempDir(), "none")),
		Large:   9 << 20,
	})
}

// A key must never leave the bucket, nor name a file that is being written.
func TestI13_BadKeys(t *testing.T) {
	b := New(t.TempDir())
	for _, key := range []string{
		"", ".", "..", "../x", "a/../x", "/etc/passwd", "a//b", "a/", "a\x00b", "a/" + tempPrefix + "1",
	} {
		_, err := b.Put(context.Background(), key, strings.NewReader("x"), 1, false)
		if err == nil {
			t.Errorf("key %q accepted", key)
		}
		if _, err := b.Stat(context.Background(), key); err == nil {
			t.Errorf("stat of key %q accepted", key)
		}
	}
}

func TestWritersLeftoversAreNotObjects(t *testing.T) {
	dir := t.TempDir()
	b, ctx := New(dir), context.Background()
	if _, err := b.Put(ctx, "run/step/gen/k", strings.NewReader("x"), 1, false); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "run/step/gen", tempPrefix+"123")
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	infos, err := b.List(ctx, "run")
	if err != nil || len(infos) != 1 {
		t.Fatalf("listed %v, %v", infos, err)
	}
	old := time.Now().Add(-2 * tempLife)
	if err := os.Chtimes(temp, old, old); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "run/step/gen/k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run/step")); !os.IsNotExist(err) {
		t.Errorf("directory with a dead writer's file stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); err != nil {
		t.Errorf("pruned more than two levels: %v", err)
	}
}

// A file that changes under a pinned tag is noticed even when size and modification time stay.
func TestChangedFileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	b, ctx := New(dir), context.Background()
	name := filepath.Join(dir, "k")
	old := time.Now().Add(-time.Hour)
	write := func(s string) {
		if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	write("0123")
	info, err := b.Stat(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	write("012X")
	err = b.ReadRange(ctx, "k", 0, make([]byte, 2), info.ETag)
	if !errors.Is(err, store.ErrChanged) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsNameTheFix(t *testing.T) {
	b := New("/")
	full := b.explainPut("/tmp/x", 12345, &os.PathError{Op: "write", Path: "/p", Err: syscall.ENOSPC})
	for _, part := range []string{"file:///tmp/x", "12345 bytes", "make room"} {
		if !strings.Contains(full.Error(), part) {
			t.Errorf("%q lacks %q", full, part)
		}
	}
	if !errors.Is(full, syscall.ENOSPC) || !errors.Is(full, store.ErrFull) {
		t.Errorf("%v is not ENOSPC", full)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(dir).Put(context.Background(), "f/k", bytes.NewReader(nil), 0, false)
	if err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("put below a file: %v", err)
	}
}

// A write that fails leaves nothing behind, nor the directories made for it; those that were
// there stay.
func TestFailedPutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b, ctx := New(dir), context.Background()
	if err := os.Mkdir(filepath.Join(dir, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	short := bytes.NewReader([]byte("12"))
	if _, err := b.Put(ctx, "mine/step/gen/k", short, 3, false); err == nil {
		t.Fatal("a body that is too short was taken")
	}
	left, err := os.ReadDir(filepath.Join(dir, "mine"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := b.Put(ctx, "mine/step/other", short, 2, false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, "mine/step/gen/k", short, 3, false); err == nil {
		t.Fatal("a body that is too short was taken")
	}
	if left, err = os.ReadDir(filepath.Join(dir, "mine/step")); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A full disk, for real: /dev/full takes no byte.
func TestDiskFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full here: %v", err)
	}
	defer f.Close()
	_, err = fill(context.Background(), f, strings.NewReader("12345"), 5)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}
