package train

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
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
	if err := t.awaitUpload(ctx); err != nil {
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
	t.upload = make(chan error, 1)
	go func() { t.upload <- t.write(ctx, step, parts, position, state, curve) }()
	return nil
}

// write uploads this rank's objects and reports them. It runs beside the loop.
func (t *trainer) write(ctx context.Context, step uint64, parts []checkpoint.Part,
	cursor, state json.RawMessage, curve []*pb.StepRecord,
) error {
	a := t.assignment
	dir := checkpoint.Dir(t.spec.GetCheckpoint().GetTo(), a.GetRun(), step, a.GetGeneration())
	shard, err := checkpoint.WriteShard(ctx, t.opener, dir, t.layout.rank, parts, cursor)
	if err != nil {
		return fmt.Errorf("write checkpoint of step %d: %w", step, err)
	}
	if t.layout.rank == 0 {
		object, err := checkpoint.WriteCurve(ctx, t.opener, dir, curve)
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

// uploadFailed looks, without waiting, whether the upload under way has failed.
func (t *trainer) uploadFailed() error {
	select {
	case err := <-t.upload: // nil when none is under way: never ready
		t.upload = nil
		return err
	default:
		return nil
	}
}

// awaitUpload waits for the upload under way, if any.
func (t *trainer) awaitUpload(ctx context.Context) error {
	if t.upload == nil {
		return nil
	}
	select {
	case err := <-t.upload:
		t.upload = nil
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
