package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI4_CorruptCheckpointIsRefusedAndThePreviousUsed: one bit of the newest checkpoint rots while
// the run is stopped.
func TestI4_CorruptCheckpointIsRefusedAndThePreviousUsed(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 1, 2)
	run := c.launch(long, "resources.workers=2")
	w := c.watch(run)
	w.awaitStep(22)
	c.mustCLI("stop", run)
	w.awaitEvent(pb.EventKind_RUN_STOPPED, nil)
	refs := c.run(run).GetCheckpoints()
	newest, previous := refs[len(refs)-1], refs[len(refs)-2]
	object := filepath.Join(filepath.Dir(strings.TrimPrefix(newest.GetUri(), "file://")),
		"rank-1.safetensors")
	flipLastBit(t, object)

	_, stderr, code := c.cli("checkpoint", "verify", run)
	if code != 1 || !strings.Contains(stderr, object) {
		t.Fatalf("verify: exit code %d, want 1 and %s named:\n%s", code, object, stderr)
	}
	c.mustCLI("resume", run)
	w = c.watch(run)
	corrupt := w.awaitEvent(pb.EventKind_CHECKPOINT_CORRUPT, nil)
	if corrupt.GetStep() != newest.GetStep() || !strings.Contains(corrupt.GetText(), object) {
		t.Errorf("corrupt: step %d, %q; want step %d and %s named", corrupt.GetStep(),
			corrupt.GetText(), newest.GetStep(), object)
	}
	w.awaitEvent(pb.EventKind_REWIND, func(e *pb.Event) bool {
		return e.GetStep() == previous.GetStep()
	})
	want.same(t, w.finish(), c.digest(run))
}

// TestI4_WithNoSoundCheckpointTheRunFails: every checkpoint is refused and named, and the run does
// not begin again from its base by itself (P7). With one of them repaired it goes on.
func TestI4_WithNoSoundCheckpointTheRunFails(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 1, 1)
	run := c.launch(long)
	w := c.watch(run)
	w.awaitStep(22)
	c.mustCLI("stop", run)
	w.awaitEvent(pb.EventKind_RUN_STOPPED, nil)
	refs := c.run(run).GetCheckpoints()
	for _, ref := range refs {
		flipLastBit(t, strings.TrimPrefix(ref.GetUri(), "file://"))
	}
	c.mustCLI("resume", run)
	w = c.watch(run)
	<-w.done
	for _, ref := range refs {
		w.awaitEvent(pb.EventKind_CHECKPOINT_CORRUPT, func(e *pb.Event) bool {
			return e.GetStep() == ref.GetStep() && strings.Contains(e.GetText(), ref.GetUri())
		})
	}
	failed := c.run(run)
	left := failed.GetCheckpoints()
	if failed.GetState() != pb.RunState_FAILED || len(left) == 0 ||
		!strings.Contains(failed.GetReason(), left[len(left)-1].GetUri()) {
		t.Fatalf("run is %s with %d checkpoints: %s", failed.GetState(), len(left), failed.GetReason())
	}
	flipLastBit(t, strings.TrimPrefix(left[len(left)-1].GetUri(), "file://")) // back as it was
	c.mustCLI("resume", run)
	want.same(t, c.watch(run).finish(), c.digest(run))
}

func flipLastBit(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
