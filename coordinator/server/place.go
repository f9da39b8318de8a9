package server

import (
	"context"
	"slices"
	"time"

	"github.com/banyan-train/banyan/coordinator/plan"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// place gives waiting runs their next generation.
func (l *lead) place(ctx context.Context) {
	st := l.machine.State()
	if !l.gathered(st) {
		return
	}
	settled := &pb.ClusterState{Workers: st.GetWorkers()}
	for _, run := range st.GetRuns() {
		if run.GetState() != pb.RunState_PENDING || l.settled(run) && l.rested(run) {
			settled.Runs = append(settled.Runs, run)
		}
	}
	waits := true
	for _, d := range plan.Next(settled, l.views(st)) {
		waits = waits && !d.Place
		if !d.Place {
			if before, _ := l.waiting.Swap(d.Run, d.Reason); before != d.Reason {
				l.log.Info().Str("run", d.Run).Str("reason", d.Reason).Msg("run waits")
			}
			continue
		}
		l.waiting.Delete(d.Run)
		l.placedAt[d.Run] = time.Now()
		l.command(ctx, "assign generation", &pb.Command{Command: &pb.Command_Assign{
			Assign: d.Assign(l.recorders.lastStep(d.Run))}})
	}
	if waits { // else st is not what it was
		l.move(st)
	}
}

// gathered reports whether a new leader may plan: every known worker has found it, or has had a
// full lease to do so. Planning earlier would shrink a run for no reason.
func (l *lead) gathered(st *pb.ClusterState) bool {
	if time.Since(l.began) > l.cfg.LeaseTTL {
		return true
	}
	for _, w := range st.GetWorkers() {
		if l.sessions[w.GetId()] == nil {
			return false
		}
	}
	return true
}

// settled reports whether every worker of the run's last generation has either said that its
// ranks are gone or is out of reach. Planning earlier would count a worker that is just dying.
//
// A worker that cannot get rid of a rank does not hold the run up for ever: its device counts as
// busy, so the next generation is placed elsewhere.
func (l *lead) settled(run *pb.Run) bool {
	ended := l.endedAt[run.GetId()]
	if ended.IsZero() {
		ended = l.began
	}
	if time.Since(ended) > settleLimit {
		return true
	}
	for k, r := range l.reports {
		if k.run != run.GetId() || k.generation > run.GetGeneration() {
			continue
		}
		if l.sessions[r.worker] != nil && !over(r.GetPhase()) {
			return false
		}
	}
	return true
}

// storePause is the pause after a generation that ended because the store did not answer.
const storePause = 10 * time.Second

// rested spaces the generations of a run that fails again and again without a new checkpoint: the
// first retry is at once, then 0.25 s, doubling up to 30 s.
func (l *lead) rested(run *pb.Run) bool {
	if l.storeDown[run.GetId()] {
		return time.Since(l.endedAt[run.GetId()]) >= storePause
	}
	if run.GetFailures() <= 1 {
		return true
	}
	pause := min(250*time.Millisecond<<min(run.GetFailures()-2, 10), 30*time.Second)
	return time.Since(l.endedAt[run.GetId()]) >= pause
}

const settleLimit = 10 * time.Second

func over(p pb.RankPhase) bool { return p == pb.RankPhase_DEAD || p == pb.RankPhase_DONE }

// views is what the planner may know of the workers: those with a session and what they serve.
func (l *lead) views(st *pb.ClusterState) []plan.WorkerView {
	busy := map[string]int{}
	for k, r := range l.reports {
		run, ok := l.machine.Run(k.run)
		stale := !ok || !state.Live(run) || run.GetGeneration() != k.generation
		if stale && !over(r.GetPhase()) {
			busy[r.worker]++ // a rank of an older generation that is still dying
		}
	}
	var out []plan.WorkerView
	for _, w := range st.GetWorkers() {
		out = append(out, plan.WorkerView{ID: w.GetId(), Devices: int(w.GetDevices()),
			Live: l.sessions[w.GetId()] != nil, Drained: slices.Contains(st.GetDrained(), w.GetId()),
			ISAClasses: w.GetIsaClasses(), Busy: busy[w.GetId()]})
	}
	return out
}
