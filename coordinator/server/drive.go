package server

import (
	"context"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// drive looks at everything and does the next thing that is missing.
func (l *lead) drive(ctx context.Context) {
	l.forgiveGap()
	l.register(ctx)
	l.commitAgain(ctx)
	for _, run := range l.machine.Runs() {
		if state.Live(run) {
			l.tend(ctx, run)
		}
	}
	l.place(ctx)
	l.push()
	l.prune()
}

// forgiveGap moves every lease forward when this loop itself stood still: a leader that was paused,
// or waited for its disk, must not take its own silence for the workers'.
func (l *lead) forgiveGap() {
	gap := time.Since(l.drivenAt)
	l.drivenAt = time.Now()
	if gap < l.cfg.LeaseTTL/3 {
		return
	}
	for w := range l.leases {
		l.leases[w] = l.leases[w].Add(gap)
	}
	for _, s := range l.sessions {
		s.heard.Add(int64(gap))
	}
}

// tend looks after a live generation: has a rank ended, is a worker lost, is all running or done?
func (l *lead) tend(ctx context.Context, run *pb.Run) {
	phases := map[pb.RankPhase]int{}
	moved := l.began
	if at := l.placedAt[run.GetId()]; at.After(moved) {
		moved = at // ranks that never say a word must not be waited for either
	}
	for _, p := range run.GetRanks() {
		r := l.report(run, p)
		phases[r.GetPhase()]++
		if r.movedAt.After(moved) {
			moved = r.movedAt
		}
	}
	if l.tendDead(ctx, run) {
		return
	}
	if l.tendEdit(ctx, run) {
		return
	}
	for _, p := range run.GetRanks() {
		if gone, how := l.workerGone(p.GetWorker()); gone {
			l.endGeneration(ctx, run.GetId(), run.GetGeneration(),
				fmt.Sprintf("worker %s lost: %s", p.GetWorker(), how), false)
			return
		}
	}
	world := len(run.GetRanks())
	switch {
	case phases[pb.RankPhase_DONE] == world:
		l.finish(ctx, run)
	case l.stuckManifest(run) == nil && // there it is this leader that must go on
		time.Since(moved) > l.stallLimit(run, phases[pb.RankPhase_STEPPING] == world):
		l.endGeneration(ctx, run.GetId(), run.GetGeneration(), fmt.Sprintf(
			"no rank made a step for %v", time.Since(moved).Round(time.Second)), false)
	case phases[pb.RankPhase_STEPPING]+phases[pb.RankPhase_DONE] == world &&
		run.GetState() == pb.RunState_ASSIGNED:
		l.command(ctx, "mark running", &pb.Command{Command: &pb.Command_Running{
			Running: &pb.MarkRunning{Run: run.GetId(), Generation: run.GetGeneration()}}})
	case run.GetState() == pb.RunState_RUNNING && l.swept[run.GetId()] < run.GetGeneration():
		l.swept[run.GetId()] = run.GetGeneration()
		l.sweep(run.GetId(), run.GetGeneration())
	}
}

// loadAllowance is how much longer than a step loading, or the last upload, may take.
const loadAllowance = 6

// stallLimit is how long a generation may show no progress. Loading a large model and the upload
// that ends a run show none; what they wait for has deadlines of its own.
func (l *lead) stallLimit(run *pb.Run, stepping bool) time.Duration {
	last := uint64(0)
	for _, p := range run.GetRanks() {
		last = max(last, l.report(run, p).GetStep())
	}
	if stepping && last < run.GetResolved().GetTotalSteps() && !l.ending(run) {
		return l.cfg.StallLimit
	}
	return loadAllowance * l.cfg.StallLimit
}

// unheard stands for a rank that has said nothing to this leader.
var unheard = &rankReport{}

// report is the newest word of a rank of the run's newest generation.
func (l *lead) report(run *pb.Run, p *pb.RankPlace) *rankReport {
	r := l.reports[rankKey{run.GetId(), run.GetGeneration(), p.GetRank()}]
	if r == nil || r.worker != p.GetWorker() {
		return unheard
	}
	return r
}

// workerGone reports whether a worker's lease is over. A closed session alone is no reason: the
// worker may be on its way back, or the leader may be new.
func (l *lead) workerGone(worker string) (bool, string) {
	silent := l.silence(worker)
	if silent <= l.cfg.LeaseTTL {
		return false, ""
	}
	return true, fmt.Sprintf("silent for %.1f s, the lease is %.1f s", silent.Seconds(),
		l.cfg.LeaseTTL.Seconds())
}

// silence is how long ago a worker was heard, or given grace.
func (l *lead) silence(worker string) time.Duration {
	if s := l.sessions[worker]; s != nil {
		return time.Since(time.Unix(0, s.heard.Load()))
	}
	return time.Since(l.leases[worker])
}

// deathWatch is how long the first death of a generation waits for others to speak: a rank that
// says why (bad input, a corrupt checkpoint) may be heard after a peer it took along.
const deathWatch = 200 * time.Millisecond

// tendDead ends a generation in which a rank has died, by the gravest reason that was given.
func (l *lead) tendDead(ctx context.Context, run *pb.Run) bool {
	var worst *pb.RankPlace
	first, all := time.Time{}, true
	for _, p := range run.GetRanks() {
		r := l.report(run, p)
		all = all && over(r.GetPhase())
		if r.GetPhase() != pb.RankPhase_DEAD {
			continue
		}
		if first.IsZero() || r.movedAt.Before(first) {
			first = r.movedAt
		}
		if worst == nil || gravity(r) > gravity(l.report(run, worst)) {
			worst = p
		}
	}
	if worst == nil {
		return false
	}
	if all || gravity(l.report(run, worst)) > 1 || time.Since(first) >= deathWatch {
		l.rankDied(ctx, run, worst, l.report(run, worst))
	}
	return true
}

// gravity orders reasons: one that no retry helps outweighs one that a retry may.
func gravity(r *rankReport) int {
	switch r.GetFailure() {
	case pb.FailureClass_FATAL_INPUT, pb.FailureClass_SPIKE:
		return 4
	case pb.FailureClass_CORRUPT_CHECKPOINT:
		return 3
	case pb.FailureClass_STORAGE:
		return 2
	}
	return 1
}

// rankDied ends the generation, and the run when no other generation can do better.
func (l *lead) rankDied(ctx context.Context, run *pb.Run, p *pb.RankPlace, r *rankReport) {
	reason := fmt.Sprintf("rank %d on %s: %s", p.GetRank(), p.GetWorker(), r.GetReason())
	if r.GetFailure() == pb.FailureClass_CORRUPT_CHECKPOINT && run.GetResumeStep() > 0 {
		for _, ref := range run.GetCheckpoints() {
			if ref.GetStep() == run.GetResumeStep() && !ref.GetCorrupt() {
				l.command(ctx, "mark checkpoint corrupt", &pb.Command{Command: &pb.Command_MarkCorrupt{
					MarkCorrupt: &pb.MarkCheckpointCorrupt{Run: run.GetId(), Step: ref.GetStep(),
						Generation: ref.GetGeneration(), Reason: r.GetReason()}}})
			}
		}
	}
	l.end(ctx, &pb.EndGeneration{Run: run.GetId(), Generation: run.GetGeneration(), Reason: reason,
		Fatal:     r.GetFailure() == pb.FailureClass_FATAL_INPUT,
		Blameless: r.GetFailure() == pb.FailureClass_STORAGE, Spike: r.GetSpike()})
}

func (l *lead) endGeneration(ctx context.Context, run string, gen uint64, reason string,
	fatal bool,
) {
	l.end(ctx, &pb.EndGeneration{Run: run, Generation: gen, Reason: reason, Fatal: fatal})
}

func (l *lead) end(ctx context.Context, e *pb.EndGeneration) {
	l.log.Warn().Str("run", e.GetRun()).Uint64("generation", e.GetGeneration()).
		Str("reason", e.GetReason()).Bool("fatal", e.GetFatal()).Msg("generation ends")
	l.endedAt[e.GetRun()] = time.Now()
	l.storeDown[e.GetRun()] = e.GetBlameless()
	l.command(ctx, "end generation",
		&pb.Command{Command: &pb.Command_EndGeneration{EndGeneration: e}})
}

// finish closes a run whose ranks all ended cleanly.
func (l *lead) finish(ctx context.Context, run *pb.Run) {
	newest := state.Newest(run).GetStep()
	end := &pb.FinishRun{Run: run.GetId(), Generation: run.GetGeneration()}
	switch {
	case newest == run.GetResolved().GetTotalSteps():
		end.State = pb.RunState_SUCCEEDED
	case l.endedItself(run) != "":
		end.State = pb.RunState_STOPPED
		end.Reason = fmt.Sprintf("stopped by its guard at step %d: %s", newest, l.endedItself(run))
	case run.GetNext() != nil && !run.GetStopRequested():
		l.handOver(ctx, run, fmt.Sprintf("ended at step %d, before the mixture changes at step %d",
			newest, run.GetNextStep()))
		return
	case run.GetStopRequested():
		end.State = pb.RunState_STOPPED
		end.Reason = fmt.Sprintf("stopped by request at step %d", newest)
	case l.moves(run):
		l.handOver(ctx, run, l.moving[run.GetId()].Reason)
		return
	default:
		l.endGeneration(ctx, run.GetId(), run.GetGeneration(),
			fmt.Sprintf("all ranks ended at step %d of %d", newest, run.GetResolved().GetTotalSteps()),
			false)
		return
	}
	if l.command(ctx, "finish run", &pb.Command{Command: &pb.Command_Finish{Finish: end}}) {
		l.sweep(run.GetId(), run.GetGeneration()+1)
	}
}

// push sends every worker its full set of ranks, where it changed.
func (l *lead) push() {
	desired := map[string]*pb.Desired{}
	for _, run := range l.machine.Runs() {
		if state.Live(run) {
			for worker, a := range l.assignments(run) {
				if desired[worker] == nil {
					desired[worker] = &pb.Desired{}
				}
				desired[worker].Ranks = append(desired[worker].Ranks, a...)
			}
		}
	}
	for worker, s := range l.sessions {
		d := desired[worker]
		if d == nil {
			d = &pb.Desired{}
		}
		s.desire(d)
	}
}

// assignments says what each worker should run of a live generation. Peers are named once every
// rank has said where it listens.
func (l *lead) assignments(run *pb.Run) map[string][]*pb.RankAssignment {
	var peers []string
	for _, p := range run.GetRanks() {
		if a := l.report(run, p).GetAddress(); a != "" {
			peers = append(peers, a)
		}
	}
	if len(peers) != len(run.GetRanks()) {
		peers = nil
	}
	var restore *pb.CheckpointRef
	for _, ref := range run.GetCheckpoints() {
		if ref.GetStep() == run.GetResumeStep() {
			restore = ref
		}
	}
	out := map[string][]*pb.RankAssignment{}
	for _, p := range run.GetRanks() {
		out[p.GetWorker()] = append(out[p.GetWorker()], &pb.RankAssignment{
			Run: run.GetId(), Generation: run.GetGeneration(), Rank: p.GetRank(),
			World: uint32(len(run.GetRanks())), Device: p.GetDevice(), IsaClass: run.GetIsaClass(),
			Resolved: run.GetResolved(), Restore: restore, Peers: peers,
			Stop: l.ending(run), Hurry: run.GetStopRequested(), CommittedStep: state.Newest(run).GetStep(),
			ResumedStep: run.GetResumedStep(), LeftOut: run.GetLeftOut()})
	}
	return out
}
