package train

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// checkUnits refuses a checkpoint of another model.
func (t *trainer) checkUnits(have []manifest.Unit) error {
	want := checkpoint.Units(t.resolved.GetModel())
	if len(have) != len(want) {
		return fmt.Errorf("checkpoint has %d units, the model has %d", len(have), len(want))
	}
	for i := range want {
		same := have[i].Name == want[i].Name && have[i].Size == want[i].Size &&
			slices.EqualFunc(have[i].Params, want[i].Params, func(a, b manifest.Param) bool {
				return a.Name == b.Name && a.Offset == b.Offset && slices.Equal(a.Shape, b.Shape)
			})
		if !same {
			return fmt.Errorf("unit %s of the checkpoint is not the model's unit %s",
				have[i].Name, want[i].Name)
		}
	}
	return nil
}

// save copies the shards and the cursor, which is the only stall, and uploads behind the loop.
// One upload is under way at a time: a checkpoint that comes due earlier waits for the last.
func (t *trainer) save(ctx context.Context, step uint64, cursor *dataset.Cursor) error {
	if err := t.uploaded(ctx); err != nil {
		return err
	}
	var parts []checkpoint.Part
	for i := range t.units {
		if t.shards.lo[i] == t.shards.hi[i] {
			continue
		}
		for _, kind := range kinds {
			data := slices.Clone(t.backend.Host(t.shards.of(kind)[i]))
			parts = append(parts,
				checkpoint.Part{Unit: i, Kind: kind, Start: t.shards.lo[i], Data: data})
		}
	}
	position, err := json.Marshal(cursor)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	state, err := json.Marshal(t.progress)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	curve := slices.Clone(t.curve)
	a, to := t.assignment, t.spec.GetCheckpoint().GetTo()
	u := &upload{insist: t.insist, step: step, to: to,
		dir:     checkpoint.Dir(to, a.GetRun(), step, a.GetGeneration()),
		control: t.control, sink: t.sink, log: t.log, done: make(chan error, 1)}
	u.write = func(ctx context.Context, op store.Opener) error {
		return t.write(ctx, op, u, parts, position, state, curve)
	}
	t.upload = u
	go func() { u.done <- u.run(ctx, t.opener) }()
	return nil
}

// write uploads this rank's objects and reports them. It runs beside the loop, and may be repeated.
func (t *trainer) write(ctx context.Context, op store.Opener, u *upload, parts []checkpoint.Part,
	cursor, state json.RawMessage, curve []*pb.StepRecord,
) error {
	a, step, dir := t.assignment, u.step, u.dir
	shard, err := checkpoint.WriteShard(ctx, op, dir, t.layout.rank, parts, cursor)
	if err != nil {
		return fmt.Errorf("write checkpoint of step %d: %w", step, err)
	}
	if t.layout.rank == 0 {
		object, err := checkpoint.WriteCurve(ctx, op, dir, curve)
		if err != nil {
			return fmt.Errorf("write checkpoint of step %d: %w", step, err)
		}
		shard.Curve, shard.Progress = &object, state
	}
	encoded, err := json.Marshal(shard)
	if err != nil {
		return fmt.Errorf("encode shard report: %w", err)
	}
	t.sink.Shard(&pb.ShardReport{Run: a.GetRun(), Generation: a.GetGeneration(),
		Rank: uint32(t.layout.rank), Step: step, Shard: encoded})
	return nil
}

// uploadFailed looks, without waiting, whether the upload under way has given up.
func (t *trainer) uploadFailed() error {
	if t.upload == nil {
		return nil
	}
	select {
	case err := <-t.upload.done:
		t.upload = nil
		return err
	default:
		return nil
	}
}

// What a rank says of its upload while all wait for the slowest.
const (
	uploadDone = iota
	uploadBusy
	uploadStuck
)

// uploaded waits until no rank has an upload under way.
func (t *trainer) uploaded(ctx context.Context) error {
	for {
		mine, err := t.pollUpload(ctx)
		if err != nil {
			return err
		}
		all, err := t.group.AllGatherBytes(ctx, []byte{mine})
		if err != nil {
			return fmt.Errorf("wait for the uploads of all ranks: %w", err)
		}
		worst := byte(uploadDone)
		for _, b := range all {
			if len(b) != 1 {
				return fmt.Errorf("wait for the uploads of all ranks: one sent %d bytes", len(b))
			}
			worst = max(worst, b[0])
		}
		switch worst {
		case uploadDone:
			return nil
		case uploadBusy:
			t.sink.Step(t.done) // this takes time, but is no stall
		}
	}
}

func (t *trainer) pollUpload(ctx context.Context) (byte, error) {
	if t.upload == nil {
		return uploadDone, nil
	}
	wake := time.NewTimer(t.insist.poll)
	defer wake.Stop()
	ended, err := t.upload.await(ctx, wake.C)
	switch {
	case ended:
		t.upload = nil
		return uploadDone, err
	case t.upload.stuck(time.Now()):
		return uploadStuck, nil
	}
	return uploadBusy, nil
}

// probe finds out, before anything is loaded, whether this rank will be able to write checkpoints.
func (t *trainer) probe(ctx context.Context) error {
	err := checkpoint.Probe(ctx, t.opener, t.spec.GetCheckpoint().GetTo(), t.assignment.GetRun(),
		fmt.Sprintf("rank-%d", t.layout.rank))
	if err != nil {
		return fmt.Errorf("before the first step: %w", err)
	}
	return nil
}
