package train

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
)

// A bench is one way to train one shape: a world of ranks, each a process bound to cores of its
// own. Random weights and tokens; real sockets.
type bench struct {
	Model                *pb.ModelConfig
	Batch, Micro, SeqLen int
	World, Threads       int
	Sharding             pb.Sharding
	Precision            pb.Precision
	Numerics             pb.Numerics
	Steps                int
}

// The shapes of docs/BENCHMARKS.md, with four micro-batches a rank at two ranks.
func benchShape(name string) bench {
	cfg := &pb.ModelConfig{Family: "llama", VocabSize: 32000, RopeTheta: 10000, RmsNormEps: 1e-5,
		MaxPositions: 512, InitializerRange: 0.02, BosId: -1}
	b := bench{Model: cfg, Steps: 1}
	size := func(c, layers, heads, ffn uint32) {
		cfg.HiddenSize, cfg.Layers, cfg.Heads, cfg.KvHeads = c, layers, heads, heads
		cfg.HeadDim, cfg.IntermediateSize = c/heads, ffn
	}
	switch name {
	case "S":
		size(288, 6, 6, 768)
		b.Micro, b.SeqLen = 8, 256
	case "M":
		size(768, 12, 12, 2048)
		b.Micro, b.SeqLen = 4, 512
	}
	b.Batch = 8 * b.Micro
	return b
}

const benchVariable = "BANYAN_BENCH_RANK"

// timing is what a rank reports: of its timed steps.
type timing struct{ Seconds, CPU, Comm float64 }

// BenchmarkTwoRanks compares two ranks on one core each with one rank on two cores, with fast sums
// and, in fp32, with PyTorch's data parallelism if BANYAN_BENCH_PYTHON has one, in interleaved
// runs: the metrics are medians of ratios of tokens a second by the clock, and of tokens a
// processor second, which a busy host spoils less; printed as JSON lines too, like other
// comparisons. BANYAN_BENCH_PAIRS sets how many runs of each (3).
func BenchmarkTwoRanks(b *testing.B) {
	if _, err := exec.LookPath("taskset"); err != nil {
		b.Skip("needs taskset to bind ranks to cores: ", err)
	}
	pairs, err := strconv.Atoi(os.Getenv("BANYAN_BENCH_PAIRS"))
	if err != nil {
		pairs = 3
	}
	for _, shape := range []string{"S", "M"} {
		for _, precision := range matrixPrecisions {
			for _, sharding := range matrixShardings {
				b.Run(fmt.Sprintf("%s/%v/%v", shape, precision, sharding), func(b *testing.B) {
					x := benchShape(shape)
					x.Precision, x.Sharding = precision, sharding
					comparePairs(b, x, pairs)
				})
			}
		}
	}
}

func comparePairs(b *testing.B, x bench, pairs int) {
	one, two, fast := x, x, x
	one.World, one.Threads = 1, 2
	two.World, two.Threads = 2, 1
	fast.World, fast.Threads, fast.Numerics = 2, 1, pb.Numerics_FAST
	ratios, peer := map[string][]float64{}, newDDP(x)
	var tokens, comm []float64
	for range pairs {
		p, q, r := one.run(b), two.run(b), fast.run(b)
		sides := map[string]timing{"of-one-rank": p, "of-fast": r}
		if peer != nil {
			sides["of-ddp"] = peer.run(b, two)
		}
		for name, side := range sides {
			ratios[name] = append(ratios[name], side.Seconds/q.Seconds)
			ratios[name+"-cpu"] = append(ratios[name+"-cpu"], side.CPU/q.CPU)
		}
		tokens = append(tokens, float64(x.Batch*x.SeqLen*x.Steps)/q.Seconds)
		comm = append(comm, q.Comm/q.Seconds)
	}
	for name, r := range ratios {
		b.ReportMetric(median(r), name)
	}
	names := map[string]string{"of-one-rank": "one rank on two cores", "of-fast": "numerics fast"}
	if peer != nil {
		names["of-ddp"] = peer.String()
	}
	for metric, name := range names {
		ratio := median(ratios[metric])
		must(b, json.NewEncoder(os.Stdout).Encode(map[string]any{"bench": "two ranks",
			"shape": strings.TrimPrefix(b.Name(), "BenchmarkTwoRanks/"), "banyan": median(tokens),
			"peer": median(tokens) / ratio, "peer_name": name, "ratio": ratio,
			"ratio_cpu": median(ratios[metric+"-cpu"])}))
	}
	b.ReportMetric(median(tokens), "tokens/s")
	b.ReportMetric(median(comm), "waiting")
	b.ReportMetric(0, "ns/op") // says nothing here
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// run starts the ranks, tells them of each other, and returns the time of the slowest and the
// processor time of all.
func (x bench) run(b *testing.B) timing {
	b.Helper()
	var in []*json.Encoder
	var out []*json.Decoder
	var peers []string
	for rank := range x.World {
		cores := fmt.Sprintf("%d-%d", rank*x.Threads, (rank+1)*x.Threads-1)
		c := exec.CommandContext(b.Context(), "taskset", "-c", cores, os.Args[0])
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", benchVariable, rank))
		c.Stderr = os.Stderr
		stdin, err := c.StdinPipe()
		must(b, err)
		stdout, err := c.StdoutPipe()
		must(b, err)
		must(b, c.Start())
		defer func() { must(b, c.Wait()) }()
		defer stdin.Close()
		in = append(in, json.NewEncoder(stdin))
		out = append(out, json.NewDecoder(bufio.NewReader(stdout)))
		var address string
		must(b, out[rank].Decode(&address))
		peers = append(peers, address)
	}
	var all timing
	for rank := range in {
		must(b, in[rank].Encode(peers))
		must(b, in[rank].Encode(x))
	}
	for rank := range out {
		var one timing
		must(b, out[rank].Decode(&one))
		all.Seconds, all.Comm = max(all.Seconds, one.Seconds), max(all.Comm, one.Comm)
		all.CPU += one.CPU
	}
	return all
}

// benchRank is the main function of a rank's process.
func benchRank(ctx context.Context, rank int) error {
	l, err := tcp.Listen("127.0.0.1")
	if err != nil {
		return err
	}
	out, in := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	if err := out.Encode(l.Addr()); err != nil {
		return err
	}
	var peers []string
	var x bench
	if err := in.Decode(&peers); err != nil {
		return err
	}
	if err := in.Decode(&x); err != nil {
		return err
	}
	group, err := l.Join(ctx, tcp.Config{Run: runID, Generation: 1, Rank: collective.Rank(rank),
		Peers: peers})
	if err != nil {
		return err
	}
	t, err := x.trainer(group)
	if err != nil {
		return err
	}
	defer t.backend.Close()
	result, err := x.time(ctx, t)
	if err != nil {
		return err
	}
	if err := out.Encode(result); err != nil {
		return err
	}
	return group.Close()
}

// never is a Control that says nothing.
type never struct{}

func (never) StopRequested() bool                          { return false }
func (never) InHurry() bool                                { return false }
func (never) AwaitCommitted(context.Context, uint64) error { return nil }

// trainer is a rank's trainer with random weights.
func (x bench) trainer(group collective.Group) (*trainer, error) {
	backend, err := cpu.New(cpu.Options{Threads: x.Threads})
	if err != nil {
		return nil, err
	}
	spec := &pb.RunSpec{Data: &pb.Data{SeqLen: uint32(x.SeqLen)}, Train: &pb.Train{
		GlobalBatch: uint32(x.Batch), MicroBatch: uint32(x.Micro),
		LogicalShards: uint32(x.Batch / x.Micro), Sharding: x.Sharding, Precision: x.Precision,
		Numerics: x.Numerics, Optimizer: &pb.Optimizer{Lr: 1e-4, Betas: []float64{0.9, 0.95},
			Eps: 1e-8, WeightDecay: 0.1, Clip: 1}}}
	resolved := &pb.ResolvedRun{Spec: spec, Model: x.Model, TotalSteps: uint64(x.Steps) + 1}
	t := &trainer{resolved: resolved, spec: spec, group: group, backend: backend,
		control: never{}, assignment: &pb.RankAssignment{Rank: uint32(group.Rank()),
			World: uint32(group.Size()), Resolved: resolved}}
	if err := t.build(); err != nil {
		return nil, err
	}
	for i, u := range t.units {
		host := make([]float32, u.Size)
		for _, p := range u.Params {
			model.InitParam(x.Model, p, 1, host[p.Offset:p.Offset+p.Len()])
		}
		copy(backend.Host(t.shards.param[i]), host[t.shards.lo[i]:t.shards.hi[i]])
	}
	return t, t.shards.round(backend)
}

// time makes one step to warm up, and times the others.
func (x bench) time(ctx context.Context, t *trainer) (timing, error) {
	var result timing
	var began time.Time
	var used time.Duration
	for step := range x.Steps + 1 {
		if step == 1 {
			if err := t.group.Barrier(ctx); err != nil {
				return result, err
			}
			began, used = time.Now(), processorTime()
		}
		out, err := t.step(ctx, x.batch(t.layout, uint64(step)+1))
		if err != nil {
			return result, err
		}
		if step > 0 {
			result.Comm += out.waited.Seconds()
		}
	}
	result.Seconds = time.Since(began).Seconds()
	result.CPU = (processorTime() - used).Seconds()
	return result, nil
}

func (x bench) batch(l *layout, step uint64) *dataset.Batch {
	batch := &dataset.Batch{Step: step}
	for slot := l.slots.Lo; slot < l.slots.Hi; slot++ {
		s := dataset.Sequence{Slot: dataset.Slot(slot), Tokens: make([]int32, x.SeqLen+1),
			Pos: make([]int32, x.SeqLen), First: make([]int32, x.SeqLen), TargetBytes: 1}
		for i := range s.Tokens {
			s.Tokens[i] = int32((uint64(slot)*7919 + step*104729 + uint64(i)*613) %
				uint64(x.Model.VocabSize))
		}
		for i := range s.Pos {
			s.Pos[i] = int32(i)
		}
		s.Targets = s.Tokens[1:]
		batch.Sequences = append(batch.Sequences, s)
	}
	return batch
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
