package server

import (
	"context"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// superseded reports whether a resume has put a step out of the surviving history: an older
// generation made it past the step that the run was resumed at, and the edit may change it (I11).
func superseded(resumes []*pb.Event, s *pb.StepRecord) bool {
	return slices.ContainsFunc(resumes, func(x *pb.Event) bool {
		return s.GetGeneration() <= x.GetGeneration() && s.GetStep() > x.GetStep()
	})
}

// learn takes in the resumes that the replicated state knows. They count from now on, though bus
// and hub may come to them later, in an order of their own.
func (w *watcher) learn(run *pb.Run) {
	w.generation = max(w.generation, run.GetGeneration())
	for _, e := range run.GetEvents() {
		if e.GetKind() != pb.EventKind_RUN_RESUMED || slices.ContainsFunc(w.resumes,
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
		if x.GetGeneration() < generation || x.GetIndex() < index {
			if err := w.send(ctx, x); err != nil {
				return err
			}
		}
	}
	return nil
}
