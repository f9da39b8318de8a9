package state

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Check returns the first invariant that a state breaks, or nil. Restore refuses a snapshot that
// fails it, and tests call it after every command.
func Check(st *pb.ClusterState) error {
	if len(st.GetRequests()) > MaxRequests {
		return fmt.Errorf("check state: %d request ids, limit %d", len(st.Requests), MaxRequests)
	}
	for i, w := range st.GetWorkers() {
		if i > 0 && st.Workers[i-1].Id >= w.Id {
			return fmt.Errorf("check state: worker %q stands after %q", w.Id, st.Workers[i-1].Id)
		}
	}
	for i, w := range st.GetDrained() {
		if _, known := findWorker(st, w); !known || i > 0 && st.Drained[i-1] >= w {
			return fmt.Errorf("check state: drained worker %q is unknown or out of order", w)
		}
	}
	type device struct {
		worker string
		index  uint32
	}
	devices := map[device]string{}
	ids := map[string]bool{}
	for _, r := range st.GetRuns() {
		if ids[r.Id] || r.Id == "" {
			return fmt.Errorf("check state: run id %q is empty or stands twice", r.Id)
		}
		ids[r.Id] = true
		if err := checkRun(r); err != nil {
			return fmt.Errorf("check run %s: %w", r.Id, err)
		}
		for _, p := range r.Ranks {
			d := device{p.Worker, p.Device}
			if devices[d] != "" {
				return fmt.Errorf("check state: device %d of worker %s serves run %s and run %s",
					p.Device, p.Worker, devices[d], r.Id)
			}
			devices[d] = r.Id
		}
	}
	return nil
}

func checkRun(r *pb.Run) error {
	if !Live(r) && !Over(r) && r.State != pb.RunState_PENDING {
		return fmt.Errorf("state %s is none", r.State)
	}
	if Live(r) != (len(r.Ranks) > 0) {
		return fmt.Errorf("%s with %d ranks", r.State, len(r.Ranks))
	}
	if r.Resolved.GetTotalSteps() == 0 {
		return fmt.Errorf("no steps")
	}
	if Live(r) && (r.Generation == 0 || r.IsaClass == "") {
		return fmt.Errorf("live at generation %d with ISA class %q", r.Generation, r.IsaClass)
	}
	if r.StopRequested && !Live(r) {
		return fmt.Errorf("%s with a stop requested", r.State)
	}
	if r.Next != nil && (!Live(r) || newestStep(r) >= r.NextStep) {
		return fmt.Errorf("%s with a checkpoint of step %d, and an edit of step %d that it does not know",
			r.State, newestStep(r), r.NextStep)
	}
	for i, p := range r.Ranks {
		if p.Rank != uint32(i) {
			return fmt.Errorf("rank %d stands at place %d", p.Rank, i)
		}
	}
	return checkCheckpoints(r)
}

// checkCheckpoints asserts I1: steps ascend strictly, so a step has one checkpoint at most, and
// generations never fall back along them, so no stale one has committed.
func checkCheckpoints(r *pb.Run) error {
	var step, gen uint64
	for _, k := range r.Checkpoints {
		if k.Step <= step || k.Generation < gen || k.Generation > r.Generation {
			return fmt.Errorf("checkpoint of step %d, generation %d after step %d, generation %d "+
				"at generation %d (I1)", k.Step, k.Generation, step, gen, r.Generation)
		}
		if k.Uri == "" || k.Digest == "" {
			return fmt.Errorf("checkpoint of step %d without manifest", k.Step)
		}
		step, gen = k.Step, k.Generation
	}
	if r.State == pb.RunState_SUCCEEDED && step != r.Resolved.GetTotalSteps() {
		return fmt.Errorf("SUCCEEDED at step %d of %d", step, r.Resolved.GetTotalSteps())
	}
	return nil
}
