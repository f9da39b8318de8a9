package demo

import (
	"context"
	"fmt"
	"syscall"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	leaderKillStep = 25 // and a checkpoint is committed
	workerKillStep = 45
	// stepsWithin bounds the wait for some steps of an undisturbed run on a busy machine.
	stepsWithin = 5 * time.Minute
	// recoverWithin bounds the wait for the first new step after a kill.
	recoverWithin = 90 * time.Second
	// rankDiesWithin is invariant I8.
	rankDiesWithin = 5 * time.Second
)

// kill is one SIGKILL and how the run got over it.
type kill struct {
	what  string
	at    time.Time
	after uint64        // newest step seen before
	next  seenStep      // first step computed after it that nobody had seen before
	died  time.Duration // until the killed worker's rank was seen dead; 0: none was to die
}

// computed is the time from the kill to the moment rank 0 had finished the next new step.
func (k *kill) computed() time.Duration {
	return time.UnixMilli(k.next.GetTimings().GetUnixMs()).Sub(k.at)
}

// seen is the time from the kill until a watcher had that step.
func (k *kill) seen() time.Duration { return k.next.at.Sub(k.at) }

// disturb kills the leader, then the worker of rank 0 with its rank (part 4).
func (d *demo) disturb(ctx context.Context, t *trained) error {
	err := t.history.await(ctx, fmt.Sprintf("step %d and a checkpoint", leaderKillStep), stepsWithin,
		func(h *history) bool {
			return h.newest() >= leaderKillStep &&
				h.event(pb.EventKind_CHECKPOINT_COMMITTED, 0) != nil
		})
	if err != nil {
		return err
	}
	if err := d.killLeader(ctx, t); err != nil {
		return fmt.Errorf("kill leader: %w", err)
	}
	err = t.history.await(ctx, fmt.Sprintf("step %d", workerKillStep), stepsWithin,
		func(h *history) bool { return h.newest() >= workerKillStep })
	if err != nil {
		return err
	}
	if err := d.killWorker(ctx, t); err != nil {
		return fmt.Errorf("kill worker: %w", err)
	}
	return nil
}

// killLeader kills the coordinator that leads and waits for another one and for a new step. The
// ranks must not notice: the step is of the same generation (I9).
func (d *demo) killLeader(ctx context.Context, t *trained) error {
	old, err := d.leader(ctx, "")
	if err != nil {
		return err
	}
	k, err := d.sigkill(t, old, "leader")
	if err != nil {
		return err
	}
	next, err := d.leader(ctx, old)
	if err != nil {
		return err
	}
	d.note("demo: %s leads now, %v after the kill", next, short(time.Since(k.at)))
	return k.await(ctx, t, func(s seenStep) bool {
		return s.GetTimings().GetUnixMs() >= k.at.UnixMilli()
	})
}

// killWorker kills the daemon that serves rank 0, makes sure that its rank dies with it (I8), and
// waits for a new step. That one is of the next generation, computed by the ranks that are left.
func (d *demo) killWorker(ctx context.Context, t *trained) error {
	call, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	run, err := d.client.Run(call, t.run.GetId())
	if err != nil {
		return fmt.Errorf("look up run: %w", err)
	}
	worker := ""
	for _, place := range run.GetRanks() {
		if place.GetRank() == 0 {
			worker = place.GetWorker()
		}
	}
	rank, err := d.cluster.rankPID(worker, run.GetId(), run.GetGeneration(), 0)
	if err != nil {
		return err
	}
	if !alive(rank) {
		return fmt.Errorf("rank 0 (process %d) is not running", rank)
	}
	k, err := d.sigkill(t, worker, "worker of rank 0")
	if err != nil {
		return err
	}
	if err := awaitDeath(ctx, rank, k.at.Add(rankDiesWithin)); err != nil {
		return fmt.Errorf("rank 0 of the killed worker: %w", err)
	}
	k.died = max(time.Since(k.at), time.Millisecond) // as fine as it is looked at
	return k.await(ctx, t, func(s seenStep) bool { return s.GetGeneration() > run.GetGeneration() })
}

// sigkill kills a process of the cluster by its name in pids.json.
func (d *demo) sigkill(t *trained, name, role string) (*kill, error) {
	pid := d.cluster.pids[name]
	if pid <= 1 || !alive(pid) {
		return nil, fmt.Errorf("%s is not a running process of this cluster", name)
	}
	t.history.mu.Lock()
	k := &kill{what: role + " " + name, after: t.history.newest()}
	t.history.mu.Unlock()
	d.note("demo: SIGKILL %s (process %d) after step %d", k.what, pid, k.after)
	k.at = time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("kill process %d: %w", pid, err)
	}
	t.kills = append(t.kills, k)
	return k, nil
}

// await waits for the first new step.
func (k *kill) await(ctx context.Context, t *trained, isNext func(seenStep) bool) error {
	return t.history.await(ctx, "the next new step", recoverWithin, func(h *history) (ok bool) {
		k.next, ok = h.first(func(s seenStep) bool { return s.GetStep() > k.after && isNext(s) })
		return ok
	})
}

// leader asks until a member of this cluster other than not leads, and answers its name.
func (d *demo) leader(ctx context.Context, not string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recoverWithin,
		fmt.Errorf("no leader other than %q after %v", not, recoverWithin))
	defer cancel()
	for {
		s, err := d.client.Status(ctx)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if m, ok := d.cluster.member(s.GetLeaderAddress()); err == nil && ok && m.ID != not {
			return m.ID, nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
}
