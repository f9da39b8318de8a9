package demo

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// survived is a run of 8 steps on 3 ranks that lost one after step 5 and went on from step 4.
func survived() facts {
	f := facts{run: &pb.Run{Generation: 2, ResumeStep: 4, Resolved: &pb.ResolvedRun{TotalSteps: 8}},
		rewind: &pb.Event{Kind: pb.EventKind_REWIND, Step: 4}}
	for step := uint64(1); step <= 8; step++ {
		s := &pb.StepRecord{Step: step, Generation: 1, Timings: &pb.Timings{World: 3}}
		if step > 5 {
			s.Generation, s.Timings.World = 2, 2
		}
		f.steps = append(f.steps, s)
	}
	return f
}

func TestCheckDisturbed(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*facts)
	}{
		{"as it should be", "", func(*facts) {}},
		{"nothing to rewind", "", func(f *facts) { f.run.ResumeStep, f.rewind = 5, nil }},
		{"never killed", "generation 1, want 2", func(f *facts) { f.run.Generation = 1 }},
		{"a third generation", "generation 3, want 2", func(f *facts) { f.run.Generation = 3 }},
		{"world did not shrink", "step 7: generation 2 had 3 ranks, want 2",
			func(f *facts) { f.steps[6].Timings.World = 3 }},
		{"began smaller", "step 1: generation 1 had 2 ranks, want 3",
			func(f *facts) { f.steps[0].Timings.World = 2 }},
		{"from scratch", "went on from step 0", func(f *facts) { f.run.ResumeStep = 0 }},
		{"from the future", "went on from step 6", func(f *facts) { f.run.ResumeStep = 6 }},
		{"no word of the rewind", "no watcher was told of a rewind",
			func(f *facts) { f.rewind = nil }},
		{"no generation 2 in the steps", "generation 2 began at step 0", func(f *facts) {
			for _, s := range f.steps {
				s.Generation, s.Timings.World = 1, 3
			}
		}},
		{"back to generation 1", "generation 1 after generation 2",
			func(f *facts) { f.steps[7].Generation, f.steps[7].Timings.World = 1, 3 }},
		{"a step lost", "step 5 came where step 4 was due",
			func(f *facts) { f.steps[3].Step = 5 }},
		{"the last step lost", "7 steps were seen, the run has 8",
			func(f *facts) { f.steps = f.steps[:7] }},
		{"nothing at all", "0 steps were seen", func(f *facts) {
			f.steps, f.run.Resolved.TotalSteps = nil, 0
		}},
	} {
		f := survived()
		c.spoil(&f)
		expect(t, c.name, checkDisturbed(f, 3), c.want)
	}
}

func TestCheckControl(t *testing.T) {
	control := func() facts {
		f := survived()
		for _, s := range f.steps {
			s.Generation, s.Timings.World = 1, 1
		}
		return f
	}
	expect(t, "as it should be", checkControl(control()), "")
	f := control()
	f.steps[2].Timings.World = 2
	expect(t, "two ranks", checkControl(f), "step 3: generation 1 with 2 ranks")
	f = control()
	f.steps[7].Generation = 2
	expect(t, "disturbed", checkControl(f), "step 8: generation 2 with 1 ranks")
}

// expect wants an error that contains a text, or none for "".
func expect(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}
