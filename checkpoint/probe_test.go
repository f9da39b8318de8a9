package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/store/storetest/faulty"
)

// TestProbe: it leaves nothing behind where it may delete, and the folder of a user stays; where
// it may not, what it leaves is neither swept nor listed as a checkpoint's, and it is no error.
func TestProbe(t *testing.T) {
	ctx, to := t.Context(), t.TempDir()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Probe(ctx, op, to, "r1", "rank-0"); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	kept := faulty.Wrap(op)
	kept.Add(faulty.Rule{Op: faulty.Delete, Fault: faulty.Fault{Err: store.ErrDenied}})
	if err := Probe(ctx, kept, to, "r1", "rank-0"); err != nil {
		t.Errorf("a probe that may not be deleted: %v", err)
	}
	left := filepath.Join(to, "r1", "probe", "rank-0")
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
	removed, err := Sweep(ctx, op, to, "r1", 99, func(uint64, uint64) bool { return false })
	if err != nil || len(removed) != 0 {
		t.Errorf("swept %v, %v", removed, err)
	}
	if step, cursors, err := CursorsBefore(ctx, op, to, "r1", 99); step != 0 || cursors != nil {
		t.Errorf("cursors of step %d, %v", step, err)
	}
	if err := Probe(ctx, op, to, "r1", "rank-0"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the next probe does not clean up after the last: %v", err)
	}
}

// TestProbeSaysWhereAndWhy: the error names place and host, and keeps the store's class.
func TestProbeSaysWhereAndWhy(t *testing.T) {
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []error{store.ErrDenied, store.ErrUnreachable, store.ErrFull} {
		to := t.TempDir()
		full := faulty.Wrap(op)
		full.Add(faulty.Rule{Op: faulty.Put, Fault: faulty.Fault{Err: class}})
		err := Probe(t.Context(), full, to, "r1", "rank-3")
		if !errors.Is(err, class) || !errors.Is(err, ErrWrite) ||
			!strings.Contains(err.Error(), to) || !strings.Contains(err.Error(), host) {
			t.Errorf("got %v", err)
		}
	}
	if err := Probe(t.Context(), op, "ftp://x", "r1", "rank-3"); !errors.Is(err, ErrWrite) {
		t.Errorf("got %v", err)
	}
}

// TestProbeDoubtsWhatIsNoPlainNo: the refusals that a store's own housekeeping causes pass.
func TestProbeDoubtsWhatIsNoPlainNo(t *testing.T) {
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	odd := errors.New("409 ExistingObjectIsDirectory")
	busy := faulty.Wrap(op)
	for nth := range 2 {
		busy.Add(faulty.Rule{Op: faulty.Put, Nth: nth + 1, Fault: faulty.Fault{Err: odd}})
	}
	if err := Probe(t.Context(), busy, t.TempDir(), "r1", "rank-0"); err != nil {
		t.Errorf("after %d tries: %v", busy.Calls(faulty.Put), err)
	}
	for class, tries := range map[error]int{odd: probeTries, store.ErrDenied: 1} {
		broken := faulty.Wrap(op)
		broken.Add(faulty.Rule{Op: faulty.Put, Fault: faulty.Fault{Err: class}})
		err := Probe(t.Context(), broken, t.TempDir(), "r1", "rank-0")
		if !errors.Is(err, class) || broken.Calls(faulty.Put) != tries {
			t.Errorf("%v after %d tries", err, broken.Calls(faulty.Put))
		}
	}
}
