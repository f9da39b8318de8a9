package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/coordinator/plan"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

type checkpointKey struct {
	run        string
	generation uint64
	step       uint64
}

type shardKey struct {
	checkpointKey
	rank uint32
}

const (
	// manifestRetry is the pause after the first try to write a manifest that a store refuses. It
	// doubles, up to manifestPause.
	manifestRetry, manifestPause = 2 * time.Second, 30 * time.Second
	// manifestPatience is how long a store may refuse a manifest before the run fails, and
	// stopPatience the same for a run that is asked to stop.
	manifestPatience, stopPatience = 30 * time.Minute, time.Minute
)

// errBadShards marks reports that do not make a checkpoint: no retry helps.
var errBadShards = errors.New("shard reports do not fit together")

// collect keeps one rank's shard report; when all of a generation are in, the manifest can be
// written. It reports whether anything may have to be done.
func (l *lead) collect(from *session, s *pb.ShardReport) bool {
	run, ok := l.machine.Run(s.GetRun())
	if !ok || !state.Live(run) || run.GetGeneration() != s.GetGeneration() ||
		!placed(run, s.GetRank(), from.worker) || s.GetStep() > run.GetResolved().GetTotalSteps() {
		return false
	}
	if s.GetStep() <= state.Newest(run).GetStep() {
		return true // committed already: the worker will hear so
	}
	k := checkpointKey{s.GetRun(), s.GetGeneration(), s.GetStep()}
	l.shards[shardKey{k, s.GetRank()}] = s
	if l.flying[k] {
		return false
	}
	reports := make([]*pb.ShardReport, len(run.GetRanks()))
	for i := range reports {
		if reports[i] = l.shards[shardKey{k, uint32(i)}]; reports[i] == nil {
			return false
		}
	}
	l.flying[k] = true
	go l.writeManifest(run, k, reports)
	return false
}

// writeManifest makes a complete checkpoint nameable: the manifest is the first object that
// mentions the others. It is retried until it is written, was refused for too long, or the
// leadership is over; the worker sends its report again to the next leader.
func (l *lead) writeManifest(run *pb.Run, k checkpointKey, reports []*pb.ShardReport) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	var since time.Time // of the first try that failed
	for pause := manifestRetry; ; pause = min(2*pause, manifestPause) {
		ref, err := commitManifest(ctx, run, k, reports)
		final := errors.Is(err, store.ErrExists) || errors.Is(err, errBadShards)
		now, ok := l.machine.Run(k.run)
		if !ok || !state.Live(now) || now.GetGeneration() != k.generation {
			return // the generation is over: its checkpoint will not be
		}
		if !since.IsZero() && state.Newest(now).GetStep() >= k.step {
			l.post(ownLate{k.run, k.generation, nil})
			return // a later one was committed meanwhile: nobody needs it any more
		}
		if err != nil && !final && ctx.Err() == nil {
			if since.IsZero() {
				since = time.Now()
			}
			err, final = l.manifestRefused(now, k, since, err)
		}
		if err == nil || final || ctx.Err() != nil {
			if !since.IsZero() {
				l.post(ownLate{k.run, k.generation, nil})
			}
			l.post(committed{k.run, k.generation, ref, err})
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// manifestRefused tells of a try to write a manifest that failed, and whether it was the last.
func (l *lead) manifestRefused(run *pb.Run, k checkpointKey, since time.Time, err error,
) (error, bool) {
	to := run.GetResolved().GetSpec().GetCheckpoint().GetTo()
	limit := manifestPatience
	if run.GetStopRequested() {
		limit = stopPatience
	}
	took := time.Since(since)
	if took >= limit {
		return fmt.Errorf("coordinator %s %w to %s: the manifest of step %d was refused for %v: %w; "+
			"once the cause is gone, `banyan resume` goes on from the newest checkpoint", l.cfg.ID,
			checkpoint.ErrWrite, to, k.step, took.Round(time.Second), err), true
	}
	l.log.Warn().Err(err).Str("run", k.run).Uint64("step", k.step).Msg("write manifest; retrying")
	l.post(ownLate{k.run, k.generation, &pb.Unwritten{Step: k.step, Reason: err.Error(),
		Uri:         checkpoint.Dir(to, k.run, k.step, k.generation),
		SinceUnixMs: since.UnixMilli()}})
	return err, false
}

func commitManifest(ctx context.Context, run *pb.Run, k checkpointKey, reports []*pb.ShardReport,
) (*pb.CheckpointRef, error) {
	resolved := run.GetResolved()
	shards := make([]manifest.Shard, len(reports))
	for i, r := range reports {
		if err := json.Unmarshal(r.GetShard(), &shards[i]); err != nil {
			return nil, fmt.Errorf("%w: rank %d: %w", errBadShards, i, err)
		}
	}
	cfg, err := protojson.Marshal(resolved.GetModel())
	if err != nil {
		return nil, fmt.Errorf("encode model configuration: %w", err)
	}
	m, err := manifest.Build(manifest.Manifest{Run: k.run, Step: k.step, Generation: k.generation,
		RunDigest: resolved.GetDigest(), Model: cfg, Tokenizer: resolved.GetTokenizer().GetUri(),
		TokenizerBase: resolved.GetTokenizer().GetBase().GetUri(),
		Units:         checkpoint.Units(resolved.GetModel())}, shards)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadShards, err)
	}
	opener, err := router.New(resolved.GetSpec().GetStores())
	if err != nil {
		return nil, err
	}
	to := resolved.GetSpec().GetCheckpoint().GetTo()
	if err := checkpoint.KeepCursors(ctx, opener, to, m); err != nil {
		return nil, err
	}
	dir := checkpoint.Dir(to, k.run, k.step, k.generation)
	uri, digest, err := checkpoint.Commit(ctx, opener, dir, m)
	if err != nil {
		return nil, err
	}
	return &pb.CheckpointRef{Step: k.step, Generation: k.generation, Uri: uri, Digest: digest}, nil
}

// commitCheckpoint is the second phase: one Raft entry whatever the world (I1). Then old
// checkpoints are retired, in Raft first.
func (l *lead) commitCheckpoint(ctx context.Context, c committed) {
	if c.err != nil {
		if !errors.Is(c.err, context.Canceled) {
			away := errors.Is(c.err, store.ErrUnreachable)
			l.end(ctx, &pb.EndGeneration{Run: c.run, Generation: c.generation, Reason: c.err.Error(),
				Fatal: errors.Is(c.err, checkpoint.ErrWrite) && !away, Blameless: away})
		}
		return
	}
	delete(l.flying, checkpointKey{c.run, c.generation, c.ref.GetStep()})
	result, err := l.propose(ctx, &pb.Command{Command: &pb.Command_CommitCheckpoint{
		CommitCheckpoint: &pb.CommitCheckpoint{Run: c.run, Checkpoint: c.ref}}})
	if err != nil {
		l.log.Warn().Err(err).Str("run", c.run).Msg("commit checkpoint; retrying")
		l.unsure = append(l.unsure, c) // no rank says its shards again to the same leader
		return
	}
	run, found := l.machine.Run(c.run)
	if !found || result.GetCode() != pb.ApplyResult_OK {
		l.log.Warn().Str("reason", result.GetReason()).Msg("commit checkpoint")
		return
	}
	l.recorders.committed(run)
	for _, ref := range plan.Retire(run) {
		l.retire(ctx, run, ref)
	}
}

// commitAgain repeats commits of unknown outcome; the state machine knows the ones it has seen.
func (l *lead) commitAgain(ctx context.Context) {
	list := l.unsure
	l.unsure = nil
	for _, c := range list {
		l.commitCheckpoint(ctx, c)
	}
}

// retire drops a checkpoint in Raft, then its objects. A crash in between leaves garbage, never a
// name without its objects.
func (l *lead) retire(ctx context.Context, run *pb.Run, ref *pb.CheckpointRef) {
	ok := l.command(ctx, "retire checkpoint", &pb.Command{Command: &pb.Command_RetireCheckpoint{
		RetireCheckpoint: &pb.RetireCheckpoint{Run: run.GetId(), Step: ref.GetStep(),
			Generation: ref.GetGeneration()}}})
	if !ok {
		return
	}
	// Its own place: an edit of checkpoint.to may have moved the run on to another one.
	dir := strings.TrimSuffix(ref.GetUri(), "/"+manifest.Name)
	l.clean(run, "delete retired checkpoint", func(ctx context.Context, op store.Opener) error {
		return checkpoint.Delete(ctx, op, dir)
	})
}

// sweep removes what generations before one left in a run's folder and nobody will ever use: what
// was being uploaded when they ended, and what retire or a rewind has dropped from the state, if
// nobody was there to delete it. Their ranks have been told to end; what one of them, cut off from
// its worker, still writes, the next sweep finds.
func (l *lead) sweep(id string, before uint64) {
	run, found := l.machine.Run(id)
	if !found || before == 1 {
		return
	}
	type place struct{ step, generation uint64 }
	kept := map[place]bool{}
	for _, ref := range run.GetCheckpoints() {
		kept[place{ref.GetStep(), ref.GetGeneration()}] = true
	}
	to := run.GetResolved().GetSpec().GetCheckpoint().GetTo()
	l.clean(run, "sweep checkpoints", func(ctx context.Context, op store.Opener) error {
		removed, err := checkpoint.Sweep(ctx, op, to, id, before,
			func(step, generation uint64) bool { return kept[place{step, generation}] })
		if len(removed) > 0 {
			l.log.Info().Str("run", id).Strs("folders", removed).
				Msg("removed what earlier generations left")
		}
		return err
	})
}

// clean does something to a run's checkpoints in the background. What fails leaves garbage, and is
// tried again by a later sweep.
func (l *lead) clean(run *pb.Run, what string,
	do func(ctx context.Context, op store.Opener) error,
) {
	go func() {
		opener, err := router.New(run.GetResolved().GetSpec().GetStores())
		if err == nil {
			deadline, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err = do(deadline, opener)
		}
		if err != nil {
			l.log.Warn().Err(err).Str("run", run.GetId()).Msg(what)
		}
	}()
}
