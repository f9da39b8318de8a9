package server

import (
	"fmt"
	"time"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// lateness is a checkpoint of which watchers were told that it is not written.
type lateness struct {
	generation, step uint64
	since            time.Time
	blocking         bool // training waits for it
	refused          bool // a try has failed, of which the reason was told
}

// ownLate is what this leader itself cannot write: the manifest.
type ownLate struct {
	run        string
	generation uint64
	late       *pb.Unwritten // nil: it is written
}

// ownIsLate notes how the manifest of a run's checkpoint fares.
func (l *lead) ownIsLate(m ownLate) {
	if m.late == nil {
		delete(l.manifests, m.run)
	} else {
		l.manifests[m.run] = m
	}
	if run, ok := l.machine.Run(m.run); ok {
		l.late(run)
	}
}

// stuckManifest is what this leader cannot write of the live generation, nil if there is no such.
func (l *lead) stuckManifest(run *pb.Run) *pb.Unwritten {
	if m, ok := l.manifests[run.GetId()]; ok && m.generation == run.GetGeneration() {
		return m.late
	}
	return nil
}

// lateEvent is the newest event of a run's checkpoint that is late, or was: nil if none was. The
// events are of the moment: no Raft entry is behind them, and each watcher of this leader is told
// the newest (tellMoments).
func (l *lead) lateEvent(run string) *pb.Event {
	late, _ := l.unwritten.Load(run)
	e, _ := late.(*pb.Event)
	return e
}

// late notes when a checkpoint is late, again when it is known why and when training has to wait
// for it, and when it is written after all.
func (l *lead) late(run *pb.Run) {
	if !state.Live(run) {
		return
	}
	var first *pb.Unwritten
	who, others := "", 0
	blocking := false
	add := func(name string, u *pb.Unwritten) {
		blocking = blocking || u.GetBlocking()
		switch {
		case u == nil:
		case first == nil:
			first, who = u, name
		case first.GetReason() == "" && u.GetReason() != "":
			first, who, others = u, name, others+1
		default:
			others++
		}
	}
	for _, p := range run.GetRanks() {
		r := l.report(run, p)
		if r.GetPhase() == pb.RankPhase_DEAD {
			return // the end of the generation says more
		}
		add(fmt.Sprintf("rank %d on %s", p.GetRank(), p.GetWorker()), r.GetUnwritten())
	}
	add("coordinator "+l.cfg.ID, l.stuckManifest(run))
	old, told := l.told[run.GetId()]
	if told && old.generation != run.GetGeneration() { // it ended in it, which was told
		delete(l.told, run.GetId())
		l.unwritten.Delete(run.GetId())
		told = false
	}
	e := &pb.Event{Generation: run.GetGeneration(), UnixMs: time.Now().UnixMilli()}
	refused := first.GetReason() != ""
	switch {
	case first != nil && (!told || blocking && !old.blocking || refused && !old.refused):
		e.Kind, e.Step = pb.EventKind_CHECKPOINT_LATE, first.GetStep()
		e.Text = lateText(first, who, others)
		if blocking {
			e.Text += "; training waits for it"
		}
		now := lateness{run.GetGeneration(), e.Step, time.Now(), blocking, refused}
		if told {
			now.since = old.since
		}
		l.told[run.GetId()] = now
	case first == nil && told:
		delete(l.told, run.GetId())
		e.Kind, e.Step = pb.EventKind_CHECKPOINT_BACK, old.step
		e.Text = fmt.Sprintf("checkpoint of step %d is written, %v after it was found to be late",
			old.step, time.Since(old.since).Round(time.Second))
	default:
		return
	}
	l.unwritten.Store(run.GetId(), e)
}

// lateText says of a checkpoint where it should be, who cannot write it, since when, and why.
func lateText(u *pb.Unwritten, who string, others int) string {
	if others > 0 {
		who += fmt.Sprintf(" and %d more", others)
	}
	since := time.UnixMilli(u.GetSinceUnixMs()).UTC().Format("2006-01-02 15:04:05 UTC")
	if u.GetReason() == "" {
		return fmt.Sprintf("checkpoint of step %d (%s) is still being written by %s",
			u.GetStep(), u.GetUri(), who)
	}
	return fmt.Sprintf("checkpoint of step %d (%s) cannot be written by %s since %s: %s",
		u.GetStep(), u.GetUri(), who, since, u.GetReason())
}
