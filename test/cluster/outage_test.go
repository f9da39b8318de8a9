package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
)

// TestI9_CoordinatorOutageRestartsNoRank: with every coordinator dead, the ranks step on to the
// end of the run; back again, the coordinators take it over as it is.
func TestI9_CoordinatorOutageRestartsNoRank(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 3, 2)
	run := c.launch(long, "resources.workers=2")
	w := c.watch(run)
	w.awaitStep(20)
	before := []int{c.oneRank("w1"), c.oneRank("w2")}
	c.killCoordinators()
	c.awaitObjects(run, longSteps) // the ranks reach the end all by themselves
	if after := []int{c.oneRank("w1"), c.oneRank("w2")}; !slices.Equal(before, after) {
		t.Fatalf("rank processes were %v, are %v", before, after)
	}
	c.startCoordinators()
	want.same(t, w.finish(), c.digest(run))
	if gen := c.run(run).GetGeneration(); gen != 1 {
		t.Fatalf("the run ended in generation %d", gen)
	}
	want.same(t, c.watch(run).finish(), want.digest) // a watcher that comes later
}

// TestI11_TelemetryIsDisposable: all telemetry is deleted in mid-run. The run goes on, and both an
// old and a new watcher get the whole curve.
func TestI11_TelemetryIsDisposable(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 3, 2)
	run := c.launch(long, "resources.workers=2")
	w := c.watch(run)
	w.awaitStep(60)
	c.killCoordinators()
	for _, m := range c.members.Members {
		if err := os.RemoveAll(filepath.Join(c.path(m.ID), "telemetry")); err != nil {
			t.Fatal(err)
		}
	}
	c.startCoordinators()
	late := c.watch(run)
	want.same(t, w.finish(), c.digest(run))
	want.same(t, late.finish(), want.digest)
}

func (c *cluster) killCoordinators() {
	for _, m := range c.members.Members {
		c.procs[m.ID].kill()
	}
}

func (c *cluster) startCoordinators() {
	for _, m := range c.members.Members {
		c.start(m.ID)
	}
}

// awaitObjects waits until rank 0's part of a step's checkpoint is in the store.
func (c *cluster) awaitObjects(run string, step int) {
	c.t.Helper()
	pattern := filepath.Join(c.path("ckpt"), run, fmt.Sprintf("step-%08d", step), "gen-*", "rank-0*")
	testkit.EventuallyWithin(c.t, runWithin, "objects "+pattern, func() bool {
		found, _ := filepath.Glob(pattern)
		return len(found) > 0
	})
}
