package state

import (
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// commitCheckpoint adds a checkpoint of the live generation (I1). It must be newer than all live
// ones: earlier steps are settled, later ones were retired when the generation was made.
func (c *change) commitCheckpoint(x *pb.CommitCheckpoint) {
	k := x.GetCheckpoint()
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	if i := findCheckpoint(r, k.GetStep(), k.GetGeneration()); i >= 0 &&
		r.Checkpoints[i].Uri == k.Uri && r.Checkpoints[i].Digest == k.Digest {
		c.again("the checkpoint of step %d is committed already", k.Step)
		return
	}
	if r = c.live(r.Id, k.GetGeneration(), "checkpoint"); r == nil {
		return
	}
	if k.GetUri() == "" || k.Digest == "" || k.Corrupt {
		c.refuse(pb.ApplyResult_CONFLICT,
			"a checkpoint needs the URI and the digest of its manifest, and must not be corrupt")
		return
	}
	if total := r.Resolved.GetTotalSteps(); k.Step > total {
		c.refuse(pb.ApplyResult_CONFLICT, "step %d is beyond the %d steps of run %s",
			k.Step, total, r.Id)
		return
	}
	if floor := max(newestStep(r), r.ResumeStep); k.Step <= floor {
		c.refuse(pb.ApplyResult_CONFLICT,
			"step %d is not after step %d, up to which run %s is settled", k.Step, floor, r.Id)
		return
	}
	if r.Next != nil && k.Step >= r.NextStep {
		c.refuse(pb.ApplyResult_CONFLICT, "generation %d does not know that the mixture of run %s "+
			"changes at step %d; its checkpoint of step %d is not of the run", r.Generation, r.Id,
			r.NextStep, k.Step)
		return
	}
	r.Checkpoints = append(r.Checkpoints, proto.CloneOf(k))
	r.Failures = 0
	c.event(pb.EventKind_CHECKPOINT_COMMITTED, k.Generation, k.Step,
		"checkpoint of step %d committed", k.Step)
}

// retireCheckpoint drops a checkpoint that a newer one replaces. Its objects are deleted after
// this, never before: a crash in between leaves garbage, not a hole.
func (c *change) retireCheckpoint(x *pb.RetireCheckpoint) {
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	i := findCheckpoint(r, x.Step, x.Generation)
	if i < 0 {
		c.again("the checkpoint of step %d, generation %d is not live", x.Step, x.Generation)
		return
	}
	if newest := Newest(r).GetStep(); x.Step >= newest {
		c.refuse(pb.ApplyResult_CONFLICT, "no newer usable checkpoint of run %s replaces that of "+
			"step %d; it stays", r.Id, x.Step)
		return
	}
	r.Checkpoints = slices.Delete(r.Checkpoints, i, i+1)
	c.event(pb.EventKind_CHECKPOINT_RETIRED, x.Generation, x.Step,
		"checkpoint of step %d retired", x.Step)
}

// markCorrupt flags a checkpoint that could not be read back. The reference stays, so that it is
// named in every listing, until a rewind replays its step; no generation resumes from it (I4).
func (c *change) markCorrupt(x *pb.MarkCheckpointCorrupt) {
	r := c.target(x.GetRun())
	if r == nil {
		return
	}
	i := findCheckpoint(r, x.Step, x.Generation)
	if i < 0 {
		c.refuse(pb.ApplyResult_NOT_FOUND, "run %s has no checkpoint of step %d, generation %d",
			r.Id, x.Step, x.Generation)
		return
	}
	if r.Checkpoints[i].Corrupt {
		c.again("the checkpoint of step %d is marked corrupt already", x.Step)
		return
	}
	r.Checkpoints[i].Corrupt = true
	c.event(pb.EventKind_CHECKPOINT_CORRUPT, x.Generation, x.Step,
		"checkpoint of step %d is corrupt and will not be used: %s", x.Step, x.Reason)
	if why := Stranded(r); why != "" && r.State == pb.RunState_PENDING {
		c.end(r, pb.RunState_FAILED, why)
	}
}

func findCheckpoint(r *pb.Run, step, gen uint64) int {
	return slices.IndexFunc(r.Checkpoints, func(k *pb.CheckpointRef) bool {
		return k.Step == step && k.Generation == gen
	})
}

// newestStep is the step of the newest live checkpoint, corrupt ones included; 0: none.
func newestStep(r *pb.Run) uint64 {
	if n := len(r.Checkpoints); n > 0 {
		return r.Checkpoints[n-1].Step
	}
	return 0
}
