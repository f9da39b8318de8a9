package checkpoint

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/storetest/faulty"
)

// A sweep takes what earlier generations left, and nothing else: not what is kept, nor what the
// live generation is writing, nor cursors, nor another run's.
func TestSweep(t *testing.T) {
	op, to := openers(t)
	ctx := context.Background()
	uri, _ := write(t, op, to, 2, 1)
	r := open(t, op, uri, "")
	run := r.Manifest().Run
	dir := func(step, generation uint64) string { return Dir(to, run, step, generation) }
	put := func(uri string) {
		b, key, err := op.Open(uri)
		if err == nil {
			_, err = b.Put(ctx, key, strings.NewReader("x"), 1, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	there := func(uri string) bool {
		b, key, err := op.Open(uri)
		if err == nil {
			_, err = b.Stat(ctx, key)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	kept := []string{uri, dir(4, 3) + "/rank-0", dir(6, 3) + "/rank-1", dir(4, 12) + "/rank-0",
		to + "/" + run + "/cursors/step-00000004.json", to + "/" + run + "/notes.txt",
		to + "/" + run + "/step-00000004/readme", Dir(to, run+"2", 4, 1) + "/rank-0"}
	gone := []string{dir(2, 2) + "/rank-0", dir(4, 1) + "/rank-0", dir(4, 1) + "/rank-1",
		dir(4, 2) + "/" + manifest.Name, dir(4, 2) + "/rank-0"}
	for _, name := range append(slices.Clone(kept[1:]), gone...) {
		put(name)
	}
	keep := func(step, generation uint64) bool { return step == 40 && generation == 2 }
	crash := errors.New("crash")
	op.Add(faulty.Rule{Op: faulty.Delete, Nth: 3, Fault: faulty.Fault{Err: crash}})
	if _, err := Sweep(ctx, op, to, run, 3, keep); !errors.Is(err, crash) {
		t.Fatalf("got %v", err)
	}
	removed, err := Sweep(ctx, op, to, run, 3, keep) // a repeat finds the rest
	if err != nil || len(removed) == 0 {
		t.Fatalf("removed %v, %v", removed, err)
	}
	for _, name := range kept {
		if !there(name) {
			t.Errorf("%s was swept away", name)
		}
	}
	for _, name := range gone {
		if there(name) {
			t.Errorf("%s is left", name)
		}
	}
	if removed, err := Sweep(ctx, op, to, run, 3, keep); err != nil || len(removed) > 0 {
		t.Errorf("a clean folder: removed %v, %v", removed, err)
	}
	if removed, err := Sweep(ctx, op, to, "no-such-run", 3, keep); err != nil || len(removed) > 0 {
		t.Errorf("no folder: removed %v, %v", removed, err)
	}
}
