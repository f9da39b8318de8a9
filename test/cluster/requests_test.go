package cluster

import (
	"strings"
	"testing"
)

// TestResumeWithMoreSteps: a stopped run and a finished one go on with an edited length.
func TestResumeWithMoreSteps(t *testing.T) {
	c := newCluster(t, 1, 1)
	// A constant rate, so that the length of the run does not change its steps.
	const constant = "train.schedule={kind: constant}"
	want := c.complete(c.launch(constant, "train.steps=90"))
	run := c.launch(constant, "train.steps=60")
	c.complete(run)
	c.mustCLI("resume", run, "--set", "train.steps=90")
	got := c.complete(run)
	want.same(t, got.curve, got.digest)
}

// TestI5_TheSameRequestIsTheSameRun: launch is retried with its request id.
func TestI5_TheSameRequestIsTheSameRun(t *testing.T) {
	c := newCluster(t, 1, 0)
	spec := c.writeSpec("tiny", corpora())
	first := c.mustCLI("launch", spec, "--request-id", "one")
	if again := c.mustCLI("launch", spec, "--request-id", "one"); again != first {
		t.Errorf("the same request gave %s, then %s", first, again)
	}
	if other := c.mustCLI("launch", spec, "--request-id", "two"); other == first {
		t.Errorf("another request gave the same run %s", other)
	}
	c.procs["c1"].kill()
	c.start("c1")
	if again := c.mustCLI("launch", spec, "--request-id", "one"); again != first {
		t.Errorf("after a restart the same request gave %s, then %s", first, again)
	}
	if list := c.mustCLI("runs", "--json"); strings.Count(list, "\n")+1 != 2 {
		t.Errorf("want 2 runs:\n%s", list)
	}
}
