package state

import (
	"fmt"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// assign makes the next generation of a waiting run. It is the fence: from here on nothing that
// an older generation sends is accepted.
func (c *change) assign(x *pb.AssignGeneration) {
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	if Live(r) && x.Generation == r.Generation && x.ResumeStep == r.ResumeStep &&
		slices.EqualFunc(x.Ranks, r.Ranks, func(a, b *pb.RankPlace) bool {
			return proto.Equal(a, b)
		}) {
		c.again("generation %d is assigned already", r.Generation)
		return
	}
	if x.Generation <= r.Generation {
		c.refuse(pb.ApplyResult_STALE_GENERATION, "generation %d of run %s was made before; it is at %d",
			x.Generation, r.Id, r.Generation)
		return
	}
	if why := assignable(c.st, r, x); why != "" {
		c.refuse(pb.ApplyResult_CONFLICT, "%s", why)
		return
	}
	c.rewind(r, x)
	r.State, r.Generation, r.ResumeStep = pb.RunState_ASSIGNED, x.Generation, x.ResumeStep
	r.IsaClass, r.Reason = x.IsaClass, x.Reason
	r.Ranks = make([]*pb.RankPlace, len(x.Ranks))
	for i, p := range x.Ranks {
		r.Ranks[i] = proto.CloneOf(p)
	}
	from := "from the base model"
	if r.ResumeStep > 0 {
		from = fmt.Sprintf("from step %d", r.ResumeStep)
	}
	text := fmt.Sprintf("generation %d: %s, %s", r.Generation, count(len(r.Ranks), "rank"), from)
	if x.Reason != "" {
		text += "; " + x.Reason
	}
	e := c.event(pb.EventKind_GENERATION_ASSIGNED, r.Generation, r.ResumeStep, "%s", text)
	if r.Resolved.GetSpec().GetTrain().GetNumerics() == pb.Numerics_FAST {
		e.Supersedes = r.Generation - 1 // replayed steps come out otherwise
	}
}

// assignable answers why a generation cannot be made, or "".
func assignable(st *pb.ClusterState, r *pb.Run, x *pb.AssignGeneration) string {
	if r.State != pb.RunState_PENDING {
		return fmt.Sprintf("run %s is %s; only a pending run gets a generation", r.Id, r.State)
	}
	if x.Generation != r.Generation+1 {
		return fmt.Sprintf("run %s is at generation %d, the next is %d, not %d",
			r.Id, r.Generation, r.Generation+1, x.Generation)
	}
	if x.IsaClass == "" || r.IsaClass != "" && x.IsaClass != r.IsaClass {
		return fmt.Sprintf("run %s is pinned to ISA class %q, not %q", r.Id, r.IsaClass, x.IsaClass)
	}
	if why := Stranded(r); why != "" {
		return why
	}
	if x.ResumeStep > 0 {
		i := slices.IndexFunc(r.Checkpoints, func(k *pb.CheckpointRef) bool {
			return k.Step == x.ResumeStep && !k.Corrupt
		})
		if i < 0 {
			return fmt.Sprintf("run %s has no usable checkpoint at step %d", r.Id, x.ResumeStep)
		}
	}
	return placeable(st, r, x.Ranks)
}

// placeable answers why these ranks cannot be placed, or "". A device serves one rank at a time.
func placeable(st *pb.ClusterState, r *pb.Run, ranks []*pb.RankPlace) string {
	if len(ranks) == 0 {
		return "a generation needs at least one rank"
	}
	if v := r.Resolved.GetSpec().GetTrain().GetLogicalShards(); v > 0 && len(ranks) > int(v) {
		return fmt.Sprintf("%d ranks are more than the %d logical shards of run %s",
			len(ranks), v, r.Id)
	}
	for i, p := range ranks {
		if p.GetRank() != uint32(i) {
			return fmt.Sprintf("rank %d stands at place %d", p.GetRank(), i)
		}
		w := slices.IndexFunc(st.Workers, func(w *pb.WorkerInfo) bool { return w.Id == p.GetWorker() })
		if w < 0 {
			return fmt.Sprintf("worker %q is not registered", p.GetWorker())
		}
		if p.Device >= st.Workers[w].Devices {
			return fmt.Sprintf("worker %s has %d devices, there is no device %d",
				p.Worker, st.Workers[w].Devices, p.Device)
		}
		if _, drained := slices.BinarySearch(st.Drained, p.Worker); drained {
			return fmt.Sprintf("worker %s is drained", p.Worker)
		}
		if holder := deviceHolder(st, ranks[:i], p); holder != "" {
			return fmt.Sprintf("device %d of worker %s serves %s", p.Device, p.Worker, holder)
		}
	}
	return ""
}

// deviceHolder answers who holds a device: a rank placed before in the same gang, or a live run.
func deviceHolder(st *pb.ClusterState, before []*pb.RankPlace, p *pb.RankPlace) string {
	same := func(q *pb.RankPlace) bool { return q.Worker == p.Worker && q.Device == p.Device }
	if slices.ContainsFunc(before, same) {
		return "another rank of this generation"
	}
	for _, r := range st.Runs {
		if slices.ContainsFunc(r.Ranks, same) {
			return "run " + r.Id
		}
	}
	return ""
}

// rewind retires every checkpoint after the one resumed from, so that the newer generation may
// commit those steps again (I1), and says which steps are replayed.
func (c *change) rewind(r *pb.Run, x *pb.AssignGeneration) {
	seen := max(x.LastSeenStep, c.retireAfter(r, x.ResumeStep,
		fmt.Sprintf("by the rewind to step %d", x.ResumeStep)))
	if seen > x.ResumeStep {
		c.event(pb.EventKind_REWIND, x.Generation, x.ResumeStep,
			"rewinds from step %d to step %d: %s replayed", seen, x.ResumeStep,
			count(int(seen-x.ResumeStep), "step"))
	}
}

// retireAfter retires the checkpoints after a step and answers the newest of them, 0 if there is
// none.
func (c *change) retireAfter(r *pb.Run, step uint64, why string) (newest uint64) {
	keep := r.Checkpoints[:0:0]
	for _, k := range r.Checkpoints {
		if k.Step <= step {
			keep = append(keep, k)
			continue
		}
		newest = k.Step
		c.event(pb.EventKind_CHECKPOINT_RETIRED, k.Generation, k.Step,
			"checkpoint of step %d retired %s", k.Step, why)
	}
	r.Checkpoints = keep
	return newest
}

// live finds the run if gen is its live generation, or refuses the command.
func (c *change) live(id string, gen uint64, what string) *pb.Run {
	r := c.target(id)
	if r == nil {
		return nil
	}
	if gen != r.Generation || !Live(r) {
		c.refuse(pb.ApplyResult_STALE_GENERATION, "%s of generation %d refused: run %s is %s at "+
			"generation %d", what, gen, r.Id, r.State, r.Generation)
		return nil
	}
	return r
}

func (c *change) markRunning(x *pb.MarkRunning) {
	r := c.live(x.GetRun(), x.GetGeneration(), "start")
	if r == nil {
		return
	}
	if r.State == pb.RunState_RUNNING {
		c.again("generation %d runs already", r.Generation)
		return
	}
	r.State = pb.RunState_RUNNING
	r.Reason = fmt.Sprintf("running on %s", count(len(r.Ranks), "rank"))
	c.event(pb.EventKind_GENERATION_RUNNING, r.Generation, r.ResumeStep, "generation %d is %s",
		r.Generation, r.Reason)
}

// endGeneration ends a failed generation. The run waits for the next one, unless a stop was asked
// for (its newest checkpoint is where it stops), nothing can help, or nothing has helped so far.
func (c *change) endGeneration(x *pb.EndGeneration) {
	r := maybeRun(c.st, x.GetRun())
	if r != nil && r.State == pb.RunState_PENDING && x.Generation == r.Generation && !x.Fatal &&
		r.Generation > 0 {
		c.out.Run = r.Id
		c.again("generation %d has ended already", r.Generation)
		return
	}
	if r = c.live(x.GetRun(), x.GetGeneration(), "end"); r == nil {
		return
	}
	c.event(pb.EventKind_GENERATION_ENDED, r.Generation, Newest(r).GetStep(),
		"generation %d ended: %s", r.Generation, x.Reason)
	tooOften := ""
	if x.Spike > 0 {
		tooOften = c.goBack(r, x.Spike)
	} else if !CommittedBy(r, r.Generation) && !x.Blameless {
		r.Failures++
	}
	step, total := Newest(r).GetStep(), r.Resolved.GetTotalSteps()
	switch {
	case step == total && !x.Fatal:
		// Nothing is left to train; only the goodbye was cut short.
		c.end(r, pb.RunState_SUCCEEDED, fmt.Sprintf("%s at step %d of %d", pb.RunState_SUCCEEDED,
			step, total))
	case x.Fatal:
		c.end(r, pb.RunState_FAILED, x.Reason)
	case tooOften != "":
		c.end(r, pb.RunState_FAILED, x.Reason+"; "+tooOften)
	case r.StopRequested:
		c.end(r, pb.RunState_STOPPED, fmt.Sprintf(
			"stopped by request at step %d; the generation ended before it could write a newer "+
				"checkpoint: %s", Newest(r).GetStep(), x.Reason))
	case r.Failures > MaxFailures:
		c.end(r, pb.RunState_FAILED, fmt.Sprintf(
			"%d generations in a row ended without a new checkpoint (limit %d), the last: %s",
			r.Failures, MaxFailures, x.Reason))
	case Stranded(r) != "":
		c.end(r, pb.RunState_FAILED, fmt.Sprintf("%s (%s)", Stranded(r), x.Reason))
	default:
		adopt(r)
		r.State, r.Ranks, r.Reason = pb.RunState_PENDING, nil, x.Reason
	}
}

// CommittedBy says whether a generation has a live checkpoint.
func CommittedBy(r *pb.Run, gen uint64) bool {
	return slices.ContainsFunc(r.Checkpoints, func(k *pb.CheckpointRef) bool {
		return k.Generation == gen
	})
}

// finish ends a run for good. A run with no live generation can only be failed.
func (c *change) finish(x *pb.FinishRun) {
	r := c.target(x.GetRun())
	switch {
	case r == nil:
		return
	case x.Generation != r.Generation:
		c.refuse(pb.ApplyResult_STALE_GENERATION, "finish of generation %d refused: run %s is at "+
			"generation %d", x.Generation, r.Id, r.Generation)
		return
	case Over(r) && r.State == x.State:
		c.again("run %s is %s already", r.Id, r.State)
		return
	case Over(r) || !Live(r) && x.State != pb.RunState_FAILED:
		c.refuse(pb.ApplyResult_CONFLICT, "run %s is %s, it cannot become %s", r.Id, r.State, x.State)
		return
	}
	step, total := Newest(r).GetStep(), r.Resolved.GetTotalSteps()
	switch x.State {
	case pb.RunState_SUCCEEDED:
		if step != total {
			c.refuse(pb.ApplyResult_CONFLICT,
				"run %s has not succeeded: its newest checkpoint is of step %d of %d", r.Id, step, total)
			return
		}
	case pb.RunState_STOPPED, pb.RunState_FAILED:
	default:
		c.refuse(pb.ApplyResult_CONFLICT, "%s is not an end of a run", x.State)
		return
	}
	reason := x.Reason
	if reason == "" {
		reason = fmt.Sprintf("%s at step %d of %d", x.State, step, total)
	}
	c.end(r, x.State, reason)
}

// count writes "1 rank", "2 ranks".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
