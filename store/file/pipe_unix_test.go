//go:build unix

package file

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banyan-train/banyan/store"
)

// A pipe is no object: opening it would wait for a writer, for ever.
func TestPipesAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Skip("cannot make a pipe: ", err)
	}
	b := New(dir)
	_, err := b.Stat(t.Context(), "pipe")
	for _, err := range []error{err, b.ReadRange(t.Context(), "pipe", 0, make([]byte, 1), "")} {
		if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a pipe: %v", err)
		}
	}
	if _, err := b.Map(t.Context(), "pipe", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a pipe is mapped: %v", err)
	}
}
