package server

import (
	"context"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// takesBack reports whether an event puts steps out of the surviving history: a resume, whose edit
// may change them, an edit of the mixture, should the live generation go past its step, and in fast
// numerics each new generation, which replays them otherwise.
func takesBack(e *pb.Event) bool {
	return e.GetKind() == pb.EventKind_RUN_RESUMED || e.GetSupersedes() > 0
}

// lastReplaced is the newest generation whose steps an event takes back. (Resumes of earlier
// versions name it in generation only.)
func lastReplaced(e *pb.Event) uint64 {
	if e.GetKind() == pb.EventKind_RUN_RESUMED {
		return e.GetGeneration()
	}
	return e.GetSupersedes()
}

// superseded reports whether a step is out of the surviving history: an older generation made it,
// past the step that the run was taken back to (I11).
func superseded(resumes []*pb.Event, s *pb.StepRecord) bool {
	return slices.ContainsFunc(resumes, func(x *pb.Event) bool {
		return s.GetGeneration() <= lastReplaced(x) && s.GetStep() > x.GetStep()
	})
}

// learn takes in what takes steps back, as the replicated state knows it. It counts from now on,
// though bus and hub may come to it later, in an order of their own.
func (w *watcher) learn(run *pb.Run) {
	w.generation = max(w.generation, run.GetGeneration())
	for _, e := range run.GetEvents() {
		if !takesBack(e) || slices.ContainsFunc(w.resumes,
			func(x *pb.Event) bool { return x.GetIndex() == e.GetIndex() }) {
			continue
		}
		w.resumes = append(w.resumes, e)
	}
}

// announce sends the resumes before an item of this generation or index that the client has not
// heard of: without them it would take the steps after them for old ones.
func (w *watcher) announce(ctx context.Context, generation, index uint64) error {
	if generation > w.generation {
		if run, ok := w.m.machine.Run(w.run); ok {
			w.learn(run)
		}
	}
	for _, x := range w.resumes {
		if lastReplaced(x) < generation || x.GetIndex() < index {
			if err := w.send(ctx, x); err != nil {
				return err
			}
		}
	}
	return nil
}
