package nccl_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/collective/nccl/fake"
	"github.com/banyan-train/banyan/gpu/cuda"
	cudafake "github.com/banyan-train/banyan/gpu/fake"
)

// short is a deadline that a fault test waits for: long against a busy machine's pauses.
const short = 4 * time.Second

// fault is what one rank of a world suffers.
type fault struct {
	name   string
	faults string // of rank 1
	lacks  string // a function that its NCCL does not have
	change func(*task)
	// What the errors of rank 1 and of the others say; "" for one that has none.
	at             func(*outcome) string
	victim, others string
	dies, hangs    bool
}

func faults() []fault {
	return []fault{
		{name: "init hangs", faults: "init=hang", at: join,
			change: func(k *task) { k.JoinTimeout = short },
			victim: "not all ranks have reached each other: context deadline exceeded",
			others: "not all ranks have reached each other"},
		{name: "missing function", lacks: "ncclCommAbort", at: join,
			victim: "it has no ncclCommAbort: not a whole NCCL",
			others: "it has no ncclCommAbort: not a whole NCCL"},
		{name: "old version", faults: "version=21704", at: join,
			victim: "it is NCCL 2.17.4; want 2.18.0 or newer",
			others: "it is NCCL 2.17.4; want 2.18.0 or newer"},
		{name: "init fails", faults: "init=fail", at: join,
			victim: "unhandled system error (2): fake: init fails", others: "fake: init fails"},
		{name: "no memory at init", faults: "init=oom", at: join,
			victim: "unhandled cuda error (1): Cuda failure 2 'out of memory'",
			others: "out of memory"},
		{name: "another version", faults: "version=22705", at: join,
			victim: "rank 1 has NCCL 2.27.5, rank 0 has 2.30.7", others: "install one version"},
		{name: "asynchronous error", faults: "async=4", at: work,
			victim: "remote process exited or there was a network error (6): fake: the network",
			others: "fake: the network went away"},
		{name: "asynchronous error, and nothing behind it", faults: "async=33", at: work,
			// Told when it is asked for, or by a call that came a moment later.
			victim: "remote process exited or there was a network error (6): fake: the network",
			others: "fake: the network went away"},
		{name: "stall", faults: "stall=5", at: work,
			change: func(k *task) { k.OpTimeout = short },
			victim: "no progress for 4s, though all ranks have called it",
			others: "no progress for 4s"},
		{name: "issue hangs", faults: "issue=5", at: work,
			change: func(k *task) { k.OpTimeout = short },
			victim: "no progress for 4s", others: "no progress for 4s"},
		{name: "no memory in an operation", faults: "oom=6", at: work,
			victim: "Cuda failure 2 'out of memory'", others: "Cuda failure 2 'out of memory'"},
		{name: "death in an operation", faults: "die=7", at: work, others: "rank 1", dies: true},
		{name: "abort hangs", faults: "abort=hang,async=4", at: work,
			change: func(k *task) { k.Aborted = short },
			victim: "fake: the network went away", others: "fake: the network went away", hangs: true},
		{name: "finalize hangs", faults: "finalize=hang", at: work},
	}
}

// TestFaults runs worlds of processes in which one rank has a fault. All others must end, each with
// a reason, and the next generation of the same world must work.
func TestFaults(t *testing.T) {
	m := newMachine(t)
	base := task{Dirs: []string{m.dir}, World: 3, Generation: 1, Rounds: 4, OpTimeout: patience,
		Aborted: patience}
	for _, c := range faults() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := base
			if c.lacks != "" {
				dir := cudafake.Build(t, cudafake.Options{Faults: "devices 5"})
				fake.Build(t, dir, c.lacks)
				k.Dirs = []string{m.dir, dir, m.dir}
			}
			if c.change != nil {
				c.change(&k)
			}
			for r, o := range world(t, k, map[int]string{1: c.faults}) {
				want := c.others
				if r == 1 {
					want = c.victim
				}
				switch {
				case (o == nil) != (c.dies && r == 1):
					t.Fatalf("rank %d says %+v", r, o)
				case o == nil:
					continue
				case !strings.Contains(c.at(o), want), (want == "") != (c.at(o) == ""):
					t.Errorf("rank %d says %+v, want %q", r, o, want)
				case o.AbortHangs != (c.hangs && r == 1):
					t.Errorf("rank %d says %+v", r, o)
				}
			}
			k.Generation, k.Dirs = 2, base.Dirs
			for r, o := range world(t, k, nil) {
				if o == nil || *o != (outcome{}) {
					t.Errorf("the next generation: rank %d says %+v", r, o)
				}
			}
		})
	}
}

func join(o *outcome) string { return o.Join }
func work(o *outcome) string { return o.Work }

// TestWorldsOfProcesses: 1 to 4 processes, no faults.
func TestWorldsOfProcesses(t *testing.T) {
	m := newMachine(t)
	for n := 1; n <= 4; n++ {
		for r, o := range world(t, task{Dirs: []string{m.dir}, World: n, Generation: 1, Rounds: 3}, nil) {
			if o == nil || *o != (outcome{}) {
				t.Errorf("world %d: rank %d says %+v", n, r, o)
			}
		}
	}
}

// TestNoMemoryForStaging: what one device lacks is told to all, and the same devices serve the next
// generation, which asks for less.
func TestNoMemoryForStaging(t *testing.T) {
	m := newMachine(t)
	devices := slices.Clone(m.devices(t, 2))
	small, err := m.driver.Open(2, cuda.Options{Budget: 3 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m.opened = append(m.opened, small)
	devices[1] = small
	control := mesh(t, 2)
	each(t, 2, func(ctx context.Context, r int) error {
		g, err := nccl.Join(ctx, nccl.Config{Library: m.lib, Device: devices[r],
			Control: control[r], Staging: 1 << 20})
		if g != nil || err == nil || !strings.Contains(err.Error(),
			"collective staging: out of memory") ||
			!strings.Contains(err.Error(), "the budget is 3.0 MiB") {
			return fmt.Errorf("%v with error %w", g, err)
		}
		return nil
	})
	groups := m.openWith(t, devices, 1<<19)
	each(t, 2, func(ctx context.Context, r int) error { return rounds(ctx, groups[r], 0) })
}
