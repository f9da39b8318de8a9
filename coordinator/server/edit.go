package server

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// tendEdit ends a generation that has gone past an edit of the mixture that it does not know. Its
// steps from there on are not of the run: the next generation replays them under the edit.
func (l *lead) tendEdit(ctx context.Context, run *pb.Run) bool {
	if run.GetNext() == nil {
		return false
	}
	for _, p := range run.GetRanks() {
		if step := l.report(run, p).GetStep(); step >= run.GetNextStep() {
			l.handOver(ctx, run, fmt.Sprintf("went on to step %d before it heard that the mixture "+
				"changes at step %d", step, run.GetNextStep()))
			return true
		}
	}
	return false
}

// handOver ends a generation for the next one to begin under an edit. Nothing has failed.
func (l *lead) handOver(ctx context.Context, run *pb.Run, why string) {
	l.end(ctx, &pb.EndGeneration{Run: run.GetId(), Generation: run.GetGeneration(), Reason: why,
		Blameless: true})
	delete(l.storeDown, run.GetId())
}

// lastStep is the newest step that anybody may know of a run: by its records, or its ranks' words.
func (l *lead) lastStep(id string) uint64 {
	last := l.recorders.lastStep(id)
	if run, ok := l.machine.Run(id); ok && state.Live(run) {
		for _, p := range run.GetRanks() {
			last = max(last, l.report(run, p).GetStep())
		}
	}
	return last
}
