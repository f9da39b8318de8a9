package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI3_FullDiskUnderCheckpoints: a checkpoint that does not fit is tried again while training
// goes on, which watchers are told. Once there is room the run goes on as if nothing had been: no
// generation is lost, and no step replayed.
func TestI3_FullDiskUnderCheckpoints(t *testing.T) {
	disk := mountTiny(t)
	c := newCluster(t, 1, 2)
	run := c.launch(long, "resources.workers=2", "checkpoint.keep=1", "checkpoint.to="+disk+"/ckpt")
	w := c.watch(run)
	w.awaitStep(20)
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	late := w.awaitEvent(pb.EventKind_CHECKPOINT_LATE, nil)
	for _, part := range []string{disk + "/ckpt/" + run, "store is full", "make room", "since 20"} {
		if !strings.Contains(late.GetText(), part) {
			t.Errorf("event %q lacks %q", late.GetText(), part)
		}
	}
	w.awaitEvent(pb.EventKind_CHECKPOINT_LATE, func(e *pb.Event) bool {
		return strings.Contains(e.GetText(), "training waits for it")
	})
	if reason := c.run(run).GetReason(); !strings.Contains(reason, "store is full") {
		t.Errorf("the run's reason is %q", reason)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.awaitEvent(pb.EventKind_CHECKPOINT_BACK, nil)
	control(t, long).same(t, w.finish(), c.digest(run))
	if r := c.run(run); r.GetGeneration() != 1 || r.GetState() != pb.RunState_SUCCEEDED {
		t.Errorf("the run is %s in generation %d: %s", r.GetState(), r.GetGeneration(), r.GetReason())
	}
}

// TestI3_CheckpointStoreAway: the same for a store that does not answer.
func TestI3_CheckpointStoreAway(t *testing.T) {
	s3 := startS3(t)
	c := newCluster(t, 1, 2, s3.env()...)
	c.mustCLI("store", "make-bucket", "ckpt")
	run := c.launch(long, "resources.workers=2", "checkpoint.to=s3://ckpt/runs",
		"stores.default.endpoint=http://"+s3.addr)
	w := c.watch(run)
	w.awaitStep(20)
	s3.stop()
	w.awaitEvent(pb.EventKind_CHECKPOINT_LATE, func(e *pb.Event) bool {
		return strings.Contains(e.GetText(), "s3://ckpt/runs/"+run) &&
			strings.Contains(e.GetText(), s3.addr)
	})
	s3.start()
	w.awaitEvent(pb.EventKind_CHECKPOINT_BACK, nil)
	control(t, long).same(t, w.finish(), c.digest(run))
	if gen := c.run(run).GetGeneration(); gen != 1 {
		t.Errorf("the run ended in generation %d", gen)
	}
}

// TestUnwritableCheckpoints: a place that nobody can write to is refused at the launch; one that
// only the workers cannot write to fails the run before its first step. Either is said once.
func TestUnwritableCheckpoints(t *testing.T) {
	disk := mountTiny(t)
	c := newCluster(t, 1, 1)
	to := "checkpoint.to=" + disk + "/ckpt"
	readOnly := func() {
		if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	c.procs["w1"].kill() // the run waits
	run := c.launch(to)
	readOnly()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	why := []string{"cannot write checkpoints to file://" + disk + "/ckpt", "from host " + host,
		"read-only file system", "every worker and coordinator"}
	stdout, stderr, code := c.cli("launch", c.writeSpec("tiny", corpora()), "--set", to)
	plain(t, stdout, stderr, code, 2, append(why, "checkpoint.to: ")...)

	c.start("w1")
	w := c.watch(run)
	if steps := w.finish(); len(steps) > 0 {
		t.Errorf("%d steps were made", len(steps))
	}
	if r := c.run(run); r.GetState() != pb.RunState_FAILED || r.GetGeneration() != 1 {
		t.Errorf("run is %s in generation %d: %s", r.GetState(), r.GetGeneration(), r.GetReason())
	}
	_, stderr, code = c.cli("watch", run, "--json")
	plain(t, "", stderr, code, 1, append(why, "rank 0 on w1")...)
	if n := strings.Count(stderr, "read-only file system"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}
