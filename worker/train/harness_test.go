package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
)

const (
	runID    = "train-test"
	seqLen   = 32
	deadline = 3 * time.Minute
)

// fixture is a resolved run on local files: the shipped corpora and tokenizer, a random base.
type fixture struct {
	opener   store.Opener
	resolved *pb.ResolvedRun
}

// shape varies what the invariance must not depend on.
type shape struct {
	globalBatch, microBatch, logicalShards uint32
	steps, every                           uint64
	sharding                               pb.Sharding
	tied                                   bool
	lr                                     float64
	wide                                   bool   // a model that learns something
	family                                 string // "": llama
}

func (s shape) config() *pb.ModelConfig {
	cfg := &pb.ModelConfig{Family: "llama", VocabSize: 4096, HiddenSize: 32, IntermediateSize: 80,
		Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 8, RopeTheta: 10000, RmsNormEps: 1e-5,
		TiedEmbeddings: s.tied, MaxPositions: 128, InitializerRange: 0.05, BosId: -1, EosId: 0}
	switch s.family {
	case "qwen2":
		cfg.Family, cfg.QkvBias = s.family, true
	case "qwen3":
		cfg.Family, cfg.QkNorm, cfg.HeadDim = s.family, true, 12 // no part of the hidden size
	}
	if s.wide {
		cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 176, 16
	}
	return cfg
}

func newFixture(t *testing.T, s shape) *fixture {
	t.Helper()
	ctx := t.Context()
	opener, err := router.New(nil)
	must(t, err)
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	examples, err := filepath.Abs("../../examples")
	must(t, err)
	cfg := s.config()
	writeBase(t, opener, base, cfg)
	folder, err := hf.Load(ctx, opener, base)
	must(t, err)
	_, pin, err := tokenize.Load(ctx, opener, filepath.Join(examples, "tokenizer"))
	must(t, err)
	source := func(name, lang string, weight float64) *pb.Source {
		return &pb.Source{Name: name, Uri: filepath.Join(examples, "corpora", name+".jsonl"),
			Lang: lang, Weight: weight, TextField: "text"}
	}
	data := &pb.Data{SeqLen: seqLen, DocMask: true, WeightUnit: pb.WeightUnit_TOKENS,
		MaxRecord: 1 << 20,
		Sources: []*pb.Source{source("zh-stories", "zh", 0.5), source("en-facts", "en", 0.3),
			source("en-stories", "en", 0.2)}}
	corpus, err := dataset.Pin(ctx, opener, data, s.globalBatch)
	must(t, err)
	train := &pb.Train{Steps: s.steps, GlobalBatch: s.globalBatch, MicroBatch: s.microBatch,
		LogicalShards: s.logicalShards, Sharding: s.sharding, Precision: pb.Precision_FP32,
		Numerics: pb.Numerics_REPRODUCIBLE, Seed: 3,
		Optimizer: &pb.Optimizer{Lr: s.lr, Betas: []float64{0.9, 0.95}, Eps: 1e-8,
			WeightDecay: 0.1, Clip: 1},
		Schedule: &pb.LrSchedule{Kind: pb.ScheduleKind_COSINE, Warmup: &pb.Span{Steps: 2},
			MinLr: s.lr / 10}}
	return &fixture{opener, &pb.ResolvedRun{
		Spec: &pb.RunSpec{Name: "train-test", Base: &pb.Base{Model: base}, Data: data, Train: train,
			Checkpoint: &pb.Checkpoint{To: filepath.Join(dir, "ckpt"), Every: s.every, Keep: 3}},
		Model: folder.Config(), TotalSteps: s.steps, Corpus: corpus,
		BaseFiles: folder.Files(), Tokenizer: pin}}
}

// with is the same run, on the same inputs, with other settings; its checkpoints go elsewhere.
func (f *fixture) with(t *testing.T, set func(*pb.Train)) *fixture {
	r := proto.CloneOf(f.resolved)
	set(r.GetSpec().GetTrain())
	r.GetSpec().GetCheckpoint().To = filepath.Join(t.TempDir(), "ckpt")
	return &fixture{f.opener, r}
}

func writeBase(t *testing.T, opener store.Opener, dir string, cfg *pb.ModelConfig) {
	t.Helper()
	var tensors []hf.TensorSource
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			tensors = append(tensors, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(_ context.Context, dst []float32) error {
					model.InitParam(cfg, p, 11, dst)
					return nil
				}})
		}
	}
	must(t, hf.Write(t.Context(), opener, dir, cfg, tensors, nil))
}

// generation runs one generation of the fixture's run: real ranks over real sockets, in this
// process, and a coordinator reduced to committing checkpoints.
type generation struct {
	f       *fixture
	number  uint64
	world   int
	threads int
	isa     string // class of the kernels; "": the best
	restore *pb.CheckpointRef
	resumed uint64 // where a user resumed the run
	leftOut []*pb.LeftOut
	stopAt  uint64 // rank 0 asks to stop once it has completed this step; 0: never
	hurry   bool   // and a user waits for it
	insist  insistence
	late    func(rank int, u *pb.Unwritten) // hears of checkpoints that are late
	stepped func(rank int, step uint64)     // hears of steps

	mu        sync.Mutex
	records   []*pb.StepRecord
	stopped   []string // what ranks said
	shards    map[uint64][]manifest.Shard
	committed *pb.CheckpointRef
	changed   chan struct{}
	stop      bool
	err       error
}

func (g *generation) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	must(t, g.try(ctx))
}

func (g *generation) try(ctx context.Context) error {
	g.shards, g.changed = map[uint64][]manifest.Shard{}, make(chan struct{})
	listeners := make([]*tcp.Listener, g.world)
	peers := make([]string, g.world)
	for i := range listeners {
		var err error
		if listeners[i], err = tcp.Listen("127.0.0.1"); err != nil {
			return err
		}
		peers[i] = listeners[i].Addr()
	}
	ranks, ctx := errgroup.WithContext(ctx)
	for i := range g.world {
		ranks.Go(func() error { return g.rank(ctx, i, listeners[i], peers) })
	}
	return errors.Join(ranks.Wait(), g.err)
}

func (g *generation) rank(ctx context.Context, i int, l *tcp.Listener, peers []string) error {
	group, err := l.Join(ctx, tcp.Config{Run: runID, Generation: g.number,
		Rank: collective.Rank(i), Peers: peers, OpTimeout: deadline})
	if err != nil {
		return err
	}
	defer group.Abort(errors.New("rank has ended"))
	backend, err := cpu.New(cpu.Options{Threads: g.threads, ISA: g.isa})
	if err != nil {
		return err
	}
	defer backend.Close()
	err = Run(ctx, Config{
		Assignment: &pb.RankAssignment{Run: runID, Generation: g.number, Rank: uint32(i),
			World: uint32(g.world), Resolved: g.f.resolved, Restore: g.restore,
			ResumedStep: g.resumed, LeftOut: g.leftOut},
		Group: group, Backend: backend, Opener: g.f.opener, Sink: &sink{g, i},
		Control: &control{g, i}, Log: zerolog.Nop(), insist: g.insist})
	if err != nil {
		return fmt.Errorf("rank %d: %w", i, err)
	}
	return group.Close()
}

// sink implements Sink for one rank.
type sink struct {
	g    *generation
	rank int
}

func (s *sink) Step(step uint64) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.g.stepped != nil {
		s.g.stepped(s.rank, step)
	}
	if s.rank == 0 && s.g.stopAt > 0 && step >= s.g.stopAt {
		s.g.stop = true
	}
}

func (s *sink) Waiting([]string) {}

func (s *sink) Unwritten(late *pb.Unwritten) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.g.late != nil {
		s.g.late(s.rank, late)
	}
}

func (s *sink) Stopped(why string) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.stopped = append(s.g.stopped, why)
}

func (s *sink) Record(r *pb.StepRecord) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.records = append(s.g.records, r)
}

// Shard commits the checkpoint when every rank has reported.
func (s *sink) Shard(r *pb.ShardReport) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	var shard manifest.Shard
	if err := json.Unmarshal(r.GetShard(), &shard); err != nil {
		g.err = err
		return
	}
	g.shards[r.GetStep()] = append(g.shards[r.GetStep()], shard)
	if len(g.shards[r.GetStep()]) < g.world {
		return
	}
	ref, err := g.commit(r.GetStep(), g.shards[r.GetStep()])
	if err != nil {
		g.err = err
		return
	}
	g.committed = ref
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *generation) commit(step uint64, shards []manifest.Shard) (*pb.CheckpointRef, error) {
	units := checkpoint.Units(g.f.resolved.GetModel())
	m, err := manifest.Build(manifest.Manifest{Run: runID, Step: step, Generation: g.number,
		Model: json.RawMessage(`{}`), Units: units}, shards)
	if err != nil {
		return nil, err
	}
	dir := checkpoint.Dir(g.f.resolved.GetSpec().GetCheckpoint().GetTo(), runID, step, g.number)
	uri, digest, err := checkpoint.Commit(context.Background(), g.f.opener, dir, m)
	return &pb.CheckpointRef{Step: step, Generation: g.number, Uri: uri, Digest: digest}, err
}

// control implements Control for one rank. Only rank 0 is told to stop: the others must learn it
// from the exchange.
type control struct {
	*generation
	rank int
}

func (c *control) StopRequested() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop && c.rank == 0
}

func (c *control) InHurry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop && c.hurry
}

func (g *generation) AwaitCommitted(ctx context.Context, step uint64) error {
	for {
		g.mu.Lock()
		done, changed, err := g.committed.GetStep() >= step, g.changed, g.err
		g.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// digest is the logical digest of the newest checkpoint.
func (g *generation) digest(t *testing.T) string {
	t.Helper()
	r, err := checkpoint.Open(t.Context(), g.f.opener, g.committed.GetUri(), g.committed.GetDigest())
	must(t, err)
	d, err := checkpoint.LogicalDigest(t.Context(), r)
	must(t, err)
	return d
}

// line is all of a record that must not depend on the world, bit by bit.
func line(r *pb.StepRecord) string {
	s := fmt.Sprintf("%d %x %x %x %d %s %q", r.GetStep(), math.Float64bits(r.GetLoss()),
		math.Float64bits(r.GetGradNorm()), math.Float64bits(r.GetLr()), r.GetTokens(), r.GetDataDigest(),
		r.GetSkipped())
	for _, g := range append(r.GetLossByLang(), r.GetLossBySource()...) {
		s += fmt.Sprintf(" %s:%x:%x:%d", g.GetName(), math.Float64bits(g.GetLoss()),
			math.Float64bits(g.GetBitsPerByte()), g.GetTargets())
	}
	return s
}

// sameCurve compares records bit by bit.
func sameCurve(t *testing.T, what string, want, got []*pb.StepRecord) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
	for i := range want {
		if a, b := line(want[i]), line(got[i]); a != b {
			t.Fatalf("%s: step %d differs\nwant %s\n got %s", what, i+1, a, b)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
