package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// Config is what a rank is given.
type Config struct {
	Assignment *pb.RankAssignment
	Group      collective.Group
	Backend    kernel.Backend
	Opener     store.Opener
	Sink       Sink
	Control    Control
	Log        zerolog.Logger

	insist insistence // zero: that of all runs
}

// Sink takes what the loop produces. Its methods do not block for long and keep order. They are
// called from several goroutines.
type Sink interface {
	Step(step uint64)             // every rank: a step is complete; again while it evaluates
	Record(*pb.StepRecord)        // rank 0: the record of a step
	Shard(report *pb.ShardReport) // this rank's part of a checkpoint is durable
	Stopped(why string)           // Run will return nil before the last step: not a failure
	Waiting(sources []string)     // data of these is late; none: it has come
	Unwritten(late *pb.Unwritten) // this rank's part of a checkpoint is late; nil: it is written
}

// Control is what the outside tells the loop.
type Control interface {
	// StopRequested asks for a checkpoint at the next step boundary, and the end of Run. InHurry
	// says that it is a user who waits for it, and not the next generation.
	StopRequested() bool
	InHurry() bool
	// AwaitCommitted blocks until the checkpoint of this step, or of a later one, is committed.
	AwaitCommitted(ctx context.Context, step uint64) error
}

type trainer struct {
	assignment *pb.RankAssignment
	resolved   *pb.ResolvedRun
	spec       *pb.RunSpec
	group      collective.Group
	backend    kernel.Backend
	opener     store.Opener
	sink       Sink
	control    Control
	log        zerolog.Logger

	layout  *layout
	units   []model.Unit
	compute kernel.DType // of what the model computes with
	model   *model.Model
	shards  *shards
	gather  *gatherer
	reduce  *reducer
	norms   kernel.Tensor // chunk sums of the own shards

	eval *evaluation // nil: none

	entered *pb.Phase // that the model knows of; nil: everything is trained

	done     uint64 // steps completed in the surviving history
	progress progress
	curve    []*pb.StepRecord // rank 0: every record so far; travels with each checkpoint
	upload   *upload          // of a checkpoint, under way; nil: none
	insist   insistence
}

// Run trains until the run's last step, or until a stop is requested, and returns once the final
// checkpoint is committed. Any error ends the rank.
func Run(ctx context.Context, cfg Config) error {
	t := &trainer{
		assignment: cfg.Assignment, resolved: cfg.Assignment.GetResolved(),
		spec: cfg.Assignment.GetResolved().GetSpec(), group: cfg.Group, backend: cfg.Backend,
		opener: cfg.Opener, sink: cfg.Sink, control: cfg.Control, log: cfg.Log, insist: cfg.insist,
	}
	if t.insist == (insistence{}) {
		t.insist = defaultInsistence
	}
	if err := t.build(); err != nil {
		return err
	}
	defer t.model.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends an upload that is still under way
	if err := t.probe(ctx); err != nil {
		return err
	}
	cursor, err := t.restore(ctx)
	if err != nil {
		return err
	}
	t.log.Info().Uint64("step", t.done).Int("world", t.layout.world).
		Str("backend", t.backend.Name()).Msg("rank ready")
	t.sink.Step(t.done)
	tokenizer, err := tokenize.LoadPinned(ctx, t.opener, t.resolved.GetTokenizer())
	if err != nil {
		return fmt.Errorf("load tokenizer: %w", err)
	}
	stream, err := t.openData(ctx, tokenizer, cursor)
	if err != nil {
		return err
	}
	defer stream.Close()
	if t.eval, err = t.openEvaluation(ctx, tokenizer); err != nil {
		return err
	}
	return t.loop(ctx, stream)
}

func (t *trainer) build() (err error) {
	a := t.assignment
	if t.layout, err = newLayout(t.spec, int(a.GetRank()), int(a.GetWorld())); err != nil {
		return err
	}
	options := model.OptionsOf(t.spec.GetTrain())
	t.units, t.compute = model.Units(t.resolved.GetModel()), options.Precision
	shape := model.Shape{Batch: t.layout.microBatch, SeqLen: t.layout.seqLen}
	t.model, err = model.New(t.resolved.GetModel(), shape, t.backend, options)
	if err != nil {
		return fmt.Errorf("build model: %w", err)
	}
	zero3 := t.spec.GetTrain().GetSharding() == pb.Sharding_ZERO3 && t.layout.world > 1
	t.shards, err = newShards(t.layout, t.units, t.backend, t.compute, !zero3)
	if err != nil {
		return err
	}
	chunks := 0
	for i := range t.units {
		chunks += (t.shards.hi[i] - t.shards.lo[i]) / model.Chunk
	}
	if t.norms, err = t.backend.Alloc(max(chunks, 1), kernel.F32); err != nil {
		return fmt.Errorf("allocate norm chunks: %w", err)
	}
	// One buffer more than a unit needs, for the next on its way.
	if t.gather, err = newGatherer(t, t.mostNeeds()+1); err != nil {
		return err
	}
	t.reduce = newReducer(t)
	return nil
}

func (t *trainer) mostNeeds() int {
	most := 0
	for u := range t.units {
		most = max(most, len(t.model.Needs(u)))
	}
	return most
}

func (t *trainer) openData(ctx context.Context, tokenizer tokenize.Tokenizer,
	at *dataset.Cursor,
) (*dataset.Stream, error) {
	cfg := dataset.ConfigOf(t.resolved, tokenizer, t.opener)
	cfg.Lo, cfg.Hi = dataset.Slot(t.layout.slots.Lo), dataset.Slot(t.layout.slots.Hi)
	stream, err := t.openStream(ctx, cfg, at)
	if err != nil {
		return nil, fmt.Errorf("open data: %w", err)
	}
	return stream, nil
}

// loop is the life of a rank after it is ready.
func (t *trainer) loop(ctx context.Context, stream *dataset.Stream) error {
	total := t.resolved.GetTotalSteps()
	every := t.spec.GetCheckpoint().GetEvery()
	saved := t.done
	stop := t.guardStops(t.done)
	for t.done < total && !stop {
		out, cursor, err := t.whole(ctx, stream)
		if err != nil {
			return err
		}
		t.finishStep(t.done+1, out)
		if err := t.uploadFailed(); err != nil {
			return err
		}
		stop = out.stop || t.guardStops(t.done)
		if t.done%every == 0 || t.done == total || stop {
			if err := t.save(ctx, t.done, cursor); err != nil {
				return err
			}
			saved = t.done
		}
	}
	if err := errors.Join(t.gather.drain(ctx), t.uploaded(ctx)); err != nil {
		return err
	}
	if saved == 0 {
		return nil // nothing was trained: a stop before the first step
	}
	if t.guardStops(saved) && saved < total {
		t.sink.Stopped(t.progress.Guard.Why)
	}
	return t.control.AwaitCommitted(ctx, saved)
}

// whole is one step with the evaluations around it, and where the data stands after it.
func (t *trainer) whole(ctx context.Context, stream *dataset.Stream,
) (*outcome, *dataset.Cursor, error) {
	var base []*pb.EvalResult
	if t.needsBaseline() {
		var err error
		if base, err = t.evaluate(ctx, t.done); err != nil {
			return nil, nil, err
		}
		t.setBaselines(base)
	}
	began := time.Now()
	batch, err := t.nextBatch(ctx, stream)
	if err != nil {
		return nil, nil, fmt.Errorf("read data of step %d: %w", t.done+1, err)
	}
	wait := time.Since(began)
	out, err := t.step(ctx, batch)
	if err != nil {
		return nil, nil, err
	}
	out.dataWait, out.evalBase, out.owed = wait, base, batch.Cursor.Owed()
	if every := t.spec.GetEval().GetEvery(); t.eval != nil &&
		(every > 0 && batch.Step%every == 0 || batch.Step == t.resolved.GetTotalSteps()) {
		if out.eval, err = t.evaluate(ctx, batch.Step); err != nil {
			return nil, nil, err
		}
		out.guard = t.guard(batch.Step, out.eval)
	}
	return out, batch.Cursor, nil
}

func (t *trainer) finishStep(step uint64, out *outcome) {
	r := t.record(step, out)
	t.done = step
	if t.layout.rank == 0 {
		t.curve = append(t.curve, r)
		t.sink.Record(r)
	}
	t.sink.Step(step)
}
