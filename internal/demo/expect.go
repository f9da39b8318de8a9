package demo

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// facts is what one run turned out to be.
type facts struct {
	run    *pb.Run
	steps  []*pb.StepRecord
	rewind *pb.Event // nil: none seen
}

func (t *trained) facts() facts {
	f := facts{run: t.run, rewind: t.history.event(pb.EventKind_REWIND, 0)}
	for _, s := range t.history.steps {
		f.steps = append(f.steps, s.StepRecord)
	}
	return f
}

// checkDisturbed is nil when a run went as one must that lost one of its workers and no rank
// otherwise: generation 1 on all ranks, generation 2 on one less, from a checkpoint, to the end.
func checkDisturbed(f facts, world uint32) error {
	if err := checkComplete(f); err != nil {
		return err
	}
	if g := f.run.GetGeneration(); g != 2 {
		return fmt.Errorf("the run ended in generation %d, want 2", g)
	}
	firstOfTwo := uint64(0)
	for _, s := range f.steps {
		want := world - uint32(s.GetGeneration()-1)
		if got := s.GetTimings().GetWorld(); got != want {
			return fmt.Errorf("step %d: generation %d had %d ranks, want %d", s.GetStep(),
				s.GetGeneration(), got, want)
		}
		if s.GetGeneration() == 2 && firstOfTwo == 0 {
			firstOfTwo = s.GetStep()
		}
	}
	if firstOfTwo <= 1 {
		return fmt.Errorf("generation 2 began at step %d, want one in mid-run", firstOfTwo)
	}
	resumed := f.run.GetResumeStep()
	if resumed == 0 || resumed >= firstOfTwo {
		return fmt.Errorf("generation 2 went on from step %d and its first new step is %d; want a "+
			"checkpoint before that", resumed, firstOfTwo)
	}
	if resumed < firstOfTwo-1 && f.rewind == nil {
		return fmt.Errorf("generation 2 went on from step %d, but no watcher was told of a rewind "+
			"(step %d had been seen)", resumed, firstOfTwo-1)
	}
	return nil
}

// checkControl is nil when a run was what the other one is compared with: one rank, undisturbed.
func checkControl(f facts) error {
	if err := checkComplete(f); err != nil {
		return err
	}
	for _, s := range f.steps {
		if s.GetGeneration() != 1 || s.GetTimings().GetWorld() != 1 {
			return fmt.Errorf("step %d: generation %d with %d ranks, want generation 1 with 1",
				s.GetStep(), s.GetGeneration(), s.GetTimings().GetWorld())
		}
	}
	return nil
}

// checkComplete is nil when every step was seen once, in order, to the end (I11), with generations
// that do not go back.
func checkComplete(f facts) error {
	total := f.run.GetResolved().GetTotalSteps()
	if uint64(len(f.steps)) != total || total == 0 {
		return fmt.Errorf("%d steps were seen, the run has %d", len(f.steps), total)
	}
	generation := uint64(1)
	for i, s := range f.steps {
		if s.GetStep() != uint64(i)+1 {
			return fmt.Errorf("step %d came where step %d was due", s.GetStep(), i+1)
		}
		if s.GetGeneration() < generation {
			return fmt.Errorf("step %d: generation %d after generation %d", s.GetStep(),
				s.GetGeneration(), generation)
		}
		generation = s.GetGeneration()
	}
	return nil
}
