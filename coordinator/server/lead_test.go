package server

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/model"
)

// TestTranscripts plays testdata/lead/*.txt against the leader's loop on a virtual clock. A line is
// something that happens; the indented lines after it are the commands proposed, what workers were
// told, and the runs that changed.
func TestTranscripts(t *testing.T) {
	testkit.Transcripts(t, "testdata/lead/*.txt", func(t *testing.T, script string) (got string) {
		synctest.Test(t, func(t *testing.T) { got = newStage(t).play(script) })
		return got
	})
}

// shard writes what a rank writes at a checkpoint, and its report. Rank 0 also writes the curve.
func (s *stage) shard(rank string, step uint64) *pb.ShardReport {
	r := report(rank, nil)
	run, ok := s.group.machine.Run(r.GetRun())
	if !ok {
		s.t.Fatalf("no run %s", r.GetRun())
	}
	world := max(1, len(run.GetRanks()))
	x := writeShard(s.t, run, int(r.GetRank()), world, step, r.GetGeneration())
	b, err := json.Marshal(x)
	if err != nil {
		s.t.Fatal(err)
	}
	return &pb.ShardReport{Run: r.GetRun(), Generation: r.GetGeneration(), Rank: r.GetRank(),
		Step: step, Shard: b}
}

func writeShard(t *testing.T, run *pb.Run, rank, world int, step, generation uint64,
) manifest.Shard {
	t.Helper()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := run.GetResolved().GetSpec().GetCheckpoint().GetTo()
	dir := checkpoint.Dir(to, run.GetId(), step, generation)
	var parts []checkpoint.Part
	for u, unit := range model.Units(run.GetResolved().GetModel()) {
		own := tree.Shard(rank, world, unit.Size/model.Chunk)
		for _, kind := range manifest.Kinds() {
			if own.Hi > own.Lo {
				parts = append(parts, checkpoint.Part{Unit: u, Kind: kind, Start: own.Lo * model.Chunk,
					Data: make([]float32, (own.Hi-own.Lo)*model.Chunk)})
			}
		}
	}
	x, err := checkpoint.WriteShard(t.Context(), op, dir, rank, parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rank > 0 {
		return x
	}
	var curve []*pb.StepRecord
	for i := range step {
		curve = append(curve, stepRecord(i+1, float64(i+1)))
	}
	object, err := checkpoint.WriteCurve(t.Context(), op, dir, curve)
	if err != nil {
		t.Fatal(err)
	}
	x.Curve = &object
	return x
}
