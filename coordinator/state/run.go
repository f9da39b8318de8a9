package state

import (
	"fmt"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// MaxDevices bounds what one worker may offer: a host has a handful of GPUs, and the planner lists
// every free device.
const MaxDevices = 1024

// Live says whether a run has a live generation: ranks that start or step.
func Live(r *pb.Run) bool {
	return r.GetState() == pb.RunState_ASSIGNED || r.GetState() == pb.RunState_RUNNING
}

// Over says whether a run has ended; ResumeRun may wake it again.
func Over(r *pb.Run) bool {
	switch r.GetState() {
	case pb.RunState_SUCCEEDED, pb.RunState_STOPPED, pb.RunState_FAILED:
		return true
	}
	return false
}

// Newest returns the newest checkpoint that is not known to be corrupt: where the next generation
// resumes. Those from before the newest edit do not count: replaying them under the edited spec
// would give other bits. nil: the run starts from the base model, or is Stranded.
func Newest(r *pb.Run) *pb.CheckpointRef {
	for i := len(r.GetCheckpoints()) - 1; i >= 0; i-- {
		c := r.Checkpoints[i]
		if !c.GetCorrupt() && c.GetStep() >= r.GetEditedStep() {
			return c
		}
	}
	return nil
}

// Stranded answers why a run that has trained has nowhere to go on from, or "". It never starts
// again from its base model in silence (P7).
func Stranded(r *pb.Run) string {
	n := len(r.GetCheckpoints())
	if n == 0 || Newest(r) != nil {
		return ""
	}
	newest := r.Checkpoints[n-1]
	why := "no checkpoint of run " + r.Id + " could be read back"
	if r.EditedStep > 0 {
		why += fmt.Sprintf(" that is not older than the edit at step %d", r.EditedStep)
	}
	return why + fmt.Sprintf("; the newest is %s. Restore its objects from a copy, see that "+
		"`banyan checkpoint verify` accepts it, and resume; or launch a new run", newest.Uri)
}

// Resumable is where a run goes on when its user asks for it: the newest checkpoint, or, when all
// are marked corrupt, the newest of them. The user may have restored its objects; they are verified
// again before use.
func Resumable(r *pb.Run) *pb.CheckpointRef {
	if Stranded(r) != "" {
		return r.Checkpoints[len(r.Checkpoints)-1]
	}
	return Newest(r)
}

func (c *change) launch(x *pb.LaunchRun) {
	c.out.Run = x.GetRun()
	if x.GetRun() == "" {
		c.refuse(pb.ApplyResult_CONFLICT, "the run has no id")
		return
	}
	if x.GetResolved().GetTotalSteps() == 0 {
		c.refuse(pb.ApplyResult_CONFLICT, "run %s is not resolved: it has no steps", x.Run)
		return
	}
	if maybeRun(c.st, x.Run) != nil {
		c.refuse(pb.ApplyResult_CONFLICT, "there is a run %s already", x.Run)
		return
	}
	r := &pb.Run{
		Id: x.Run, State: pb.RunState_PENDING, Resolved: proto.CloneOf(x.Resolved),
		SpecYaml: x.SpecYaml, Reason: "launched; waiting for workers",
		LaunchedIndex: c.index, LaunchedUnixMs: c.unixMS,
	}
	c.st.Runs = append(c.st.Runs, r)
	c.event(pb.EventKind_RUN_LAUNCHED, 0, 0, "launched: %d steps", r.Resolved.TotalSteps)
}

// stop ends a waiting run at once; a live one is asked to, so that it can write a checkpoint.
func (c *change) stop(x *pb.StopRun) {
	r := c.target(x.GetRun())
	switch {
	case r == nil:
	case r.State == pb.RunState_PENDING:
		c.end(r, pb.RunState_STOPPED, "stopped by request while waiting for workers")
	case r.State == pb.RunState_STOPPED || r.StopRequested:
		c.again("run %s is stopped or stopping", r.Id)
	case Live(r):
		r.StopRequested = true
		c.event(pb.EventKind_STOP_REQUESTED, r.Generation, 0,
			"asked to stop at the next step boundary")
	default:
		c.refuse(pb.ApplyResult_CONFLICT, "run %s is %s, there is nothing to stop", r.Id, r.State)
	}
}

func (c *change) resume(x *pb.ResumeRun) {
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	if !Over(r) {
		c.refuse(pb.ApplyResult_CONFLICT,
			"run %s is %s; only a stopped, failed or finished run can be resumed", r.Id, r.State)
		return
	}
	next := r.Resolved
	if x.GetResolved() != nil {
		next = x.Resolved
	}
	step := Resumable(r).GetStep()
	if next.GetTotalSteps() <= step {
		c.refuse(pb.ApplyResult_CONFLICT, "run %s is at step %d of %d: nothing is left to train; "+
			"raise train.tokens or train.steps", r.Id, step, next.GetTotalSteps())
		return
	}
	if what := changedInput(r.Resolved, next); what != "" && len(r.Checkpoints) > 0 {
		c.refuse(pb.ApplyResult_CONFLICT, "%s of run %s is not what its checkpoints were trained with; "+
			"restore it, or launch a new run from an export", what, r.Id)
		return
	}
	if Stranded(r) != "" {
		Resumable(r).Corrupt = false
	}
	r.Resolved = proto.CloneOf(next)
	r.State, r.Reason = pb.RunState_PENDING, "resumed; waiting for workers"
	r.StopRequested, r.Failures, r.ResumedStep = false, 0, step
	edit := "nothing edited"
	if x.GetResolved() != nil {
		edit = "edited " + x.Edit
		r.EditedStep = step
	}
	e := c.event(pb.EventKind_RUN_RESUMED, r.Generation, step, "resumed at step %d of %d, %s",
		step, r.Resolved.TotalSteps, edit)
	e.Supersedes = r.Generation
}

// changedInput names the first thing that a resumed run may not change, or "": what its weights
// are, and what its data cursor counts in.
func changedInput(a, b *pb.ResolvedRun) string {
	da, db := a.GetSpec().GetData(), b.GetSpec().GetData()
	ta, tb := a.GetSpec().GetTrain(), b.GetSpec().GetTrain()
	switch {
	case !proto.Equal(a.GetModel(), b.GetModel()):
		return "the model"
	case a.GetTokenizer().GetSha256() != b.GetTokenizer().GetSha256():
		return "the tokenizer"
	case da.GetSeqLen() != db.GetSeqLen():
		return "data.seq_len"
	case da.GetBos() != db.GetBos():
		return "data.bos"
	case da.GetPacking() != db.GetPacking():
		return "data.packing"
	case ta.GetGlobalBatch() != tb.GetGlobalBatch():
		return "train.global_batch"
	case ta.GetSeed() != tb.GetSeed():
		return "train.seed"
	}
	if len(a.GetCorpus().GetSources()) != len(b.GetCorpus().GetSources()) {
		return "the list of sources"
	}
	for i, s := range a.GetCorpus().GetSources() {
		n := b.GetCorpus().GetSources()[i]
		if !slices.EqualFunc(s.GetFiles(), n.GetFiles(), func(x, y *pb.PinnedFile) bool {
			return proto.Equal(x, y)
		}) {
			return "the corpus of source " + s.GetName()
		}
	}
	return changedSet(a, b)
}

// changedSet names the first held-out set whose files have changed in place, or "": its losses
// before and after would not compare. An edit may bring other files in under another uri.
func changedSet(a, b *pb.ResolvedRun) string {
	for _, was := range a.GetEvalSets() {
		for _, now := range b.GetEvalSets() {
			same := was.GetName() == now.GetName() && setURI(a, was) == setURI(b, now)
			if same && !slices.EqualFunc(was.GetFiles(), now.GetFiles(), func(x, y *pb.PinnedFile) bool {
				return proto.Equal(x, y)
			}) {
				return "the held-out set " + was.GetName()
			}
		}
	}
	return ""
}

func setURI(r *pb.ResolvedRun, m *pb.SourceManifest) string {
	for _, set := range r.GetSpec().GetEval().GetSets() {
		if set.GetName() == m.GetName() {
			return set.GetUri()
		}
	}
	return ""
}

// end puts a run to rest and says so.
func (c *change) end(r *pb.Run, s pb.RunState, reason string) {
	kinds := map[pb.RunState]pb.EventKind{
		pb.RunState_SUCCEEDED: pb.EventKind_RUN_SUCCEEDED,
		pb.RunState_STOPPED:   pb.EventKind_RUN_STOPPED,
		pb.RunState_FAILED:    pb.EventKind_RUN_FAILED,
	}
	adopt(r)
	r.State, r.Reason, r.Ranks, r.StopRequested = s, reason, nil, false
	c.event(kinds[s], r.Generation, Newest(r).GetStep(), "%s", reason)
}
