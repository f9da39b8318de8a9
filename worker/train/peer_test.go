package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// peerCurve is what scripts/peer_curve.py reads: a run's settings, its batches, and our curve.
type peerCurve struct {
	Steps     uint64                `json:"steps"`
	Optimizer *pb.Optimizer         `json:"optimizer"`
	Warmup    uint64                `json:"warmup"`
	MinLR     float64               `json:"min_lr"`
	Batches   []peerBatch           `json:"batches"`
	Curves    map[string][]peerStep `json:"curves"` // by precision
}

// peerBatch holds a global batch, a row a sequence; see dataset.Sequence.
type peerBatch struct {
	Tokens  [][]int32 `json:"tokens"`
	Pos     [][]int32 `json:"pos"`
	First   [][]int32 `json:"first"`
	Targets [][]int32 `json:"targets"`
}

type peerStep struct {
	Loss float64 `json:"loss"`
	Norm float64 `json:"norm"`
	LR   float64 `json:"lr"`
}

// TestPeerCurve trains 200 steps on the shipped texts, documents masked, two ranks, and leaves all
// that a peer needs to do the same in the folder that BANYAN_CURVE names.
func TestPeerCurve(t *testing.T) {
	dir := os.Getenv("BANYAN_CURVE")
	if dir == "" {
		t.Skip("needs BANYAN_CURVE=FOLDER, and a peer afterwards: make peers")
	}
	f := newFixture(t, shape{globalBatch: 8, microBatch: 2, logicalShards: 4, steps: 200, every: 200,
		sharding: pb.Sharding_ZERO1, lr: 1e-3, wide: true})
	train := f.resolved.GetSpec().GetTrain()
	out := peerCurve{Steps: train.GetSteps(), Optimizer: train.GetOptimizer(),
		Warmup: train.GetSchedule().GetWarmup().GetSteps(), MinLR: train.GetSchedule().GetMinLr(),
		Curves: map[string][]peerStep{}}
	must(t, os.CopyFS(filepath.Join(dir, "base"), os.DirFS(f.resolved.GetSpec().GetBase().GetModel())))
	for _, b := range f.batches(t, int(out.Steps)) {
		var x peerBatch
		for _, s := range b.Sequences {
			x.Tokens, x.Pos = append(x.Tokens, s.Tokens[:seqLen]), append(x.Pos, s.Pos)
			x.First, x.Targets = append(x.First, s.First), append(x.Targets, s.Targets)
		}
		out.Batches = append(out.Batches, x)
	}
	for _, precision := range matrixPrecisions {
		g := &generation{number: 1, world: 2, threads: 1,
			f: f.with(t, func(train *pb.Train) { train.Precision = precision })}
		g.run(t)
		for _, r := range g.records {
			out.Curves[precision.String()] = append(out.Curves[precision.String()],
				peerStep{r.GetLoss(), r.GetGradNorm(), r.GetLr()})
		}
	}
	b, err := json.Marshal(out)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "curve.json"), b, 0o644))
}
