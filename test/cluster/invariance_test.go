package cluster

import (
	"fmt"
	"testing"
)

// TestI3_SameCurveAtOneToFourWorkersAndOneToThreeThreads: the curve and the weights are a function
// of the spec, whoever computes them.
func TestI3_SameCurveAtOneToFourWorkersAndOneToThreeThreads(t *testing.T) {
	want := control(t) // one worker, one thread
	c := newCluster(t, 1, 4)
	for _, x := range []struct{ workers, threads int }{
		{2, 1}, {3, 1}, {4, 1}, {1, 2}, {1, 3}, {3, 2},
	} {
		t.Run(fmt.Sprintf("workers=%d,threads=%d", x.workers, x.threads), func(t *testing.T) {
			c := c.in(t)
			run := c.launch(fmt.Sprintf("resources.workers=%d", x.workers),
				fmt.Sprintf("resources.threads=%d", x.threads))
			got := c.complete(run)
			for _, r := range got.curve {
				if world := int(r.GetTimings().GetWorld()); world != x.workers {
					t.Fatalf("step %d ran on %d ranks, not %d", r.GetStep(), world, x.workers)
				}
			}
			want.same(t, got.curve, got.digest)
		})
	}
}
