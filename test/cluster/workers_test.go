package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// deathWithin is I8's promise.
const deathWithin = 5 * time.Second

// slowSteps makes every step last about a second.
var slowSteps = []string{"data.seq_len=256", "train.global_batch=64", "train.micro_batch=16",
	"train.logical_shards=4"}

// TestI8_RanksDieWithTheirWorker: between steps, in the middle of one, stopped by a signal, and
// when the daemon is asked to end.
func TestI8_RanksDieWithTheirWorker(t *testing.T) {
	cases := []struct {
		name string
		set  []string
		step uint64 // to wait for
		end  func(w *process, rank int)
	}{
		{"killed", []string{long}, 10, func(w *process, _ int) { w.kill() }},
		{"killed in mid-step", slowSteps, 0, func(w *process, _ int) { w.kill() }},
		{"killed while the rank is suspended", []string{long}, 10, func(w *process, rank int) {
			_ = syscall.Kill(rank, syscall.SIGSTOP)
			w.kill()
		}},
		{"asked to end", []string{long}, 10, func(w *process, _ int) {
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
		}},
	}
	c := newCluster(t, 1, 1)
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			c := c.in(t)
			run := c.launch(x.set...)
			w := c.watch(run)
			w.awaitGeneration(1)
			if x.step > 0 {
				w.awaitStep(x.step)
			}
			worker := c.procs["w1"]
			rank := c.oneRank("w1")
			began := time.Now()
			x.end(worker, rank)
			testkit.EventuallyWithin(t, deathWithin, fmt.Sprintf("the death of rank process %d", rank),
				func() bool { return !alive(rank) })
			t.Logf("gone after %v", time.Since(began).Round(time.Millisecond))
			<-worker.done
			c.mustCLI("stop", run)
			c.start("w1")
			c.awaitWorkers(1)
			<-w.done
		})
	}
}

// oneRank is the pid of the one rank a worker has.
func (c *cluster) oneRank(worker string) int {
	c.t.Helper()
	var pids []int
	testkit.Eventually(c.t, "a rank of "+worker, func() bool {
		pids = c.procs[worker].ranks()
		return len(pids) == 1
	})
	return pids[0]
}

// TestI1_StaleGenerationCommitsNothing: a worker is suspended until the run has gone on without
// it. With the daemon alone suspended, its rank goes on, and has later checkpoints to report when
// the daemon wakes up.
func TestI1_StaleGenerationCommitsNothing(t *testing.T) {
	t.Parallel() // it waits for leases most of the time
	want := control(t, long)
	for _, ranks := range []bool{true, false} {
		t.Run(fmt.Sprintf("rank suspended=%v", ranks), func(t *testing.T) {
			c := newCluster(t, 1, 2)
			run := c.launch(long, "resources.workers=1")
			w := c.watch(run)
			w.awaitStep(12)
			stale := c.run(run).GetRanks()[0].GetWorker()
			rank := c.oneRank(stale)
			c.procs[stale].signal(t, syscall.SIGSTOP)
			if ranks {
				_ = syscall.Kill(rank, syscall.SIGSTOP)
			}
			w.awaitGeneration(2)
			c.procs[stale].signal(t, syscall.SIGCONT)
			_ = syscall.Kill(rank, syscall.SIGCONT)
			testkit.EventuallyWithin(t, deathWithin, "the death of the stale rank",
				func() bool { return !alive(rank) })
			want.same(t, w.finish(), c.digest(run))
			w.noCommitAfterEnd(1)
		})
	}
}

// noCommitAfterEnd demands that a generation committed nothing after its end.
func (w *watcher) noCommitAfterEnd(gen uint64) {
	w.t.Helper()
	over := false
	for _, e := range w.events { // in the order of the log
		if e.GetGeneration() != gen {
			continue
		}
		switch e.GetKind() {
		case pb.EventKind_GENERATION_ENDED:
			over = true
		case pb.EventKind_CHECKPOINT_COMMITTED:
			if over {
				w.t.Errorf("generation %d committed step %d after its end", gen, e.GetStep())
			}
		}
	}
	if !over {
		w.t.Errorf("generation %d never ended", gen)
	}
}

// TestI1_ARankThatStartsAgainBeginsANewGeneration: a worker comes back within its lease, so that
// the leader never misses it. Its rank must not write the generation's checkpoints twice.
func TestI1_ARankThatStartsAgainBeginsANewGeneration(t *testing.T) {
	want := control(t, long)
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			c := newCluster(t, 1, workers)
			run := c.launch(long, fmt.Sprintf("resources.workers=%d", workers))
			w := c.watch(run)
			w.awaitStep(12)
			c.procs["w1"].kill()
			c.start("w1")
			w.awaitGeneration(2)
			want.same(t, w.finish(), c.digest(run))
			for _, ref := range c.run(run).GetCheckpoints() {
				c.mustCLI("checkpoint", "verify", fmt.Sprintf("%s@%d", run, ref.GetStep()))
			}
		})
	}
}

// TestI3_ARunTakesAReturnedWorkerIn: a worker dies, the run goes on without it, the worker comes
// back, and at a checkpoint the run has all its ranks again. The curve knows nothing of it.
func TestI3_ARunTakesAReturnedWorkerIn(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 1, 2)
	run := c.launch(long)
	w := c.watch(run)
	w.awaitStep(12)
	c.procs["w2"].kill()
	running := func(gen uint64, ranks string) {
		w.awaitEvent(pb.EventKind_GENERATION_RUNNING, func(e *pb.Event) bool {
			return e.GetGeneration() >= gen && strings.HasSuffix(e.GetText(), "running on "+ranks)
		})
	}
	running(2, "1 rank")
	c.start("w2")
	running(3, "2 ranks")
	want.same(t, w.finish(), c.digest(run))
	if n := w.count(pb.EventKind_REWIND); n > 1 { // the death's; growing goes back by no step
		t.Errorf("%d rewinds", n)
	}
}

// TestADrainedWorkerIsLeftWithoutALoss: its rank checkpoints, the run goes on elsewhere from there,
// and the worker can be stopped. Taken back, it serves again.
func TestADrainedWorkerIsLeftWithoutALoss(t *testing.T) {
	want := control(t, long)
	c := newCluster(t, 1, 2)
	run := c.launch(long, "resources.workers=1")
	w := c.watch(run)
	w.awaitStep(12)
	first := c.run(run).GetRanks()[0].GetWorker()
	c.mustCLI("drain", first)
	if pids := c.procs[first].ranks(); len(pids) > 0 {
		t.Errorf("%s has ranks %v", first, pids)
	}
	c.procs[first].kill()
	w.awaitGeneration(2)
	second := c.run(run).GetRanks()[0].GetWorker()
	if second == first {
		t.Fatalf("the run is still on %s", first)
	}
	c.start(first)
	c.mustCLI("drain", first, "--back")
	c.mustCLI("drain", second, "--no-wait")
	w.awaitGeneration(3)
	want.same(t, w.finish(), c.digest(run))
	if n := w.count(pb.EventKind_REWIND); n > 0 {
		t.Errorf("%d rewinds", n)
	}
}
