package dataset

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/store"
)

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look, deadline := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("still waiting for " + what)
		}
	}
}

// A store that goes silent is not felt for as many steps as are ready; then the stream waits, says
// for which source, and goes on with the very step that it stood at.
func TestSilentStoreIsHidden(t *testing.T) {
	cfg := testConfig(t, 4, 256, text("a", repeat(40, 0, 90)...))
	undisturbed := mustOpen(t, cfg, nil)
	want := map[uint64]*Batch{}
	mem := cfg.Stores.(*memstore.Store)
	var gate sync.RWMutex
	var silent atomic.Int64
	for range 3 * cfg.ahead() {
		b := mustNext(t, undisturbed)
		want[b.Step] = b
	}
	undisturbed.Close()
	mem.Before = func(context.Context, string) error {
		silent.Add(1)
		gate.RLock()
		defer gate.RUnlock()
		silent.Add(-1)
		return nil
	}
	s := mustOpen(t, cfg, nil)
	until(t, "the stream to be ahead", func() bool { return len(s.out) == cap(s.out) })
	if cap(s.out) < 60 {
		t.Fatalf("only %d small steps ahead", cap(s.out))
	}
	gate.Lock()
	step := uint64(0)
	next := func() {
		step++
		b := mustNext(t, s)
		for i := range b.Sequences {
			if !sameSequence(b.Sequences[i], want[step].Sequences[i]) {
				t.Fatalf("step %d differs", step)
			}
		}
	}
	for range cap(s.out) {
		next()
	}
	until(t, "a read that hangs", func() bool { return silent.Load() > 0 })
	for len(s.out) > 0 { // what was in the making
		next()
	}
	until(t, "the source's name", func() bool { return fmt.Sprint(s.Busy()) == "[s0]" })
	gate.Unlock()
	for range cap(s.out) {
		next()
	}
}

// A store that cannot be reached is asked again until it can, or until patience is over; what it
// says otherwise is passed on.
func TestUnreachableStoreIsAskedAgain(t *testing.T) {
	mem := memstore.New()
	mem.Set("mem://c/a", []byte("content"))
	op := patientOpener{mem, time.Minute, time.Microsecond}
	calls := 0
	mem.Before = func(context.Context, string) error {
		if calls++; calls < 20 {
			return fmt.Errorf("try %d: %w", calls, store.ErrUnreachable)
		}
		return nil
	}
	b, key, err := op.Open("mem://c/a")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 7)
	if err := b.ReadRange(t.Context(), key, 0, p, ""); err != nil || string(p) != "content" {
		t.Errorf("%q, %v", p, err)
	}
	if err := b.ReadRange(t.Context(), key, 0, p, "other"); !errors.Is(err, store.ErrChanged) {
		t.Errorf("a changed object: %v", err)
	}
	calls = 0
	op.limit = 0
	b, _, _ = op.Open("mem://c/a")
	if err := b.ReadRange(t.Context(), key, 0, p, ""); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("patience is over: %v", err)
	}
	calls = 0
	b, _, _ = patientOpener{mem, time.Hour, time.Hour}.Open("mem://c/a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.ReadRange(ctx, key, 0, p, ""); err == nil {
		t.Error("went on after the end of the context")
	}
}
