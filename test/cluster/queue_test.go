package cluster

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestAWaitingRunSaysWhoHasTheDevices: on every way that a user may look at it.
func TestAWaitingRunSaysWhoHasTheDevices(t *testing.T) {
	c := newCluster(t, 1, 1)
	first := c.launch(long, "train.steps=10000")
	c.watch(first).awaitStep(1)
	stdout, stderr, code := c.cli("launch", c.writeSpec("second", corpora()))
	second := strings.TrimSpace(stdout)
	const lacks = "needs 1 free device"
	holds := "run " + first + " holds 1"
	plain(t, "", stderr, code, 0, "run "+second+" waits: ", lacks, holds)
	for _, command := range []string{"runs", "status"} {
		out := c.mustCLI(command)
		if !strings.Contains(out, lacks) || !strings.Contains(out, holds) {
			t.Errorf("banyan %s does not say who has the device:\n%s", command, out)
		}
	}
	w := c.watch(second)
	w.awaitEvent(pb.EventKind_WAITING, func(e *pb.Event) bool {
		return strings.Contains(e.GetText(), lacks) && strings.Contains(e.GetText(), holds)
	})
	c.mustCLI("stop", first)
	w.finish()
	if got := c.run(second); got.GetState() != pb.RunState_SUCCEEDED {
		t.Errorf("the second run is %s: %s", got.GetState(), got.GetReason())
	}
	if out := c.mustCLI("status"); strings.Contains(out, second) {
		t.Errorf("a run that is over is in the status:\n%s", out)
	}
}
