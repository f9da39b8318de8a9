package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/checkpoint"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/storetest/faulty"
)

// hurried is what all runs do, in a test's time.
var hurried = insistence{pause: time.Millisecond, longest: 5 * time.Millisecond,
	poll: 3 * time.Millisecond, patience: time.Hour, stopping: time.Hour}

// words keeps what ranks say of checkpoints that are late.
type words struct {
	mu   sync.Mutex
	list []*pb.Unwritten
	from []int
}

func (w *words) take(rank int, u *pb.Unwritten) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list, w.from = append(w.list, u), append(w.from, rank)
}

// refuse makes the store refuse what puts into a key that has this part.
func refuse(f *fixture, part string, class error) (*fixture, *faulty.Opener) {
	op := faulty.Wrap(f.opener)
	op.Add(faulty.Rule{Op: faulty.Put, Key: part, Fault: faulty.Fault{Err: class}})
	return &fixture{op, f.resolved}, op
}

// TestI3_StoreRefusesForAWhile: a full store costs no step. Training goes on, waits once the next
// checkpoint is due, all ranks together, and the run comes out as if nothing had been.
func TestI3_StoreRefusesForAWhile(t *testing.T) {
	f := newFixture(t, small)
	control := &generation{f: f, number: 1, world: 1, threads: 1}
	control.run(t)
	g, op := refuse(f.with(t, func(*pb.Train) {}), "rank-1.safetensors", store.ErrFull)
	said := &words{}
	run := &generation{f: g, number: 1, world: 3, threads: 1, insist: hurried}
	trained, beats := 0, 0
	run.late = func(rank int, u *pb.Unwritten) {
		said.take(rank, u)
		if u.GetBlocking() && trained == 0 {
			trained = len(run.records)
		}
	}
	run.stepped = func(rank int, step uint64) {
		if rank == 0 && trained > 0 && step == small.steps {
			if beats++; beats == 5 { // a rank that waits with the others goes on giving signs of life
				op.Clear() // somebody has made room
			}
		}
	}
	run.run(t)
	sameCurve(t, "a full store", control.records, run.records)
	if a, b := control.digest(t), run.digest(t); a != b {
		t.Errorf("digest %s, want %s", b, a)
	}
	if trained < int(small.steps)-1 { // rank 0 may not have recorded the last one yet
		t.Errorf("%d steps were made before training waited", trained)
	}
	if len(run.shards[3]) != 3 || len(run.shards[6]) != 3 {
		t.Errorf("checkpoints have %d and %d shards", len(run.shards[3]), len(run.shards[6]))
	}
	for i, u := range said.list[:len(said.list)-1] {
		if said.from[i] != 1 || u.GetStep() != 3 || u.GetSinceUnixMs() == 0 ||
			!strings.HasSuffix(u.GetUri(), "step-00000003/gen-1") ||
			!strings.Contains(u.GetReason(), store.ErrFull.Error()) {
			t.Errorf("rank %d said %v", said.from[i], u)
		}
	}
	if last := said.list[len(said.list)-1]; last != nil {
		t.Errorf("the last word was %v", last)
	}
}

// TestStoreRefusesForGood: training does not wait for ever. The rank that is refused says why.
func TestStoreRefusesForGood(t *testing.T) {
	for name, class := range map[string]error{"full": store.ErrFull, "away": store.ErrUnreachable} {
		t.Run(name, func(t *testing.T) {
			f, _ := refuse(newFixture(t, small), "rank-1.safetensors", class)
			g := &generation{f: f, number: 1, world: 2, threads: 1, insist: hurried}
			g.insist.patience = 50 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			err := g.try(ctx)
			if !errors.Is(err, checkpoint.ErrWrite) || !errors.Is(err, class) {
				t.Fatalf("got %v", err)
			}
			for _, part := range []string{"step 3", f.resolved.GetSpec().GetCheckpoint().GetTo(),
				"banyan resume"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if len(g.records) < int(small.steps)-1 || g.committed != nil {
				t.Errorf("%d steps, committed %v", len(g.records), g.committed)
			}
		})
	}
}

// TestStopIsNotHeldUp: a run that its user asks to stop waits less for a store that refuses; one
// that only makes way for its next generation waits as long as any.
func TestStopIsNotHeldUp(t *testing.T) {
	for _, hurry := range []bool{true, false} {
		s := small
		s.steps = 50
		f, op := refuse(newFixture(t, s), "rank-0.safetensors", store.ErrDenied)
		g := &generation{f: f, number: 1, world: 2, threads: 1, insist: hurried, stopAt: 3, hurry: hurry}
		g.insist.stopping = 20 * time.Millisecond
		g.late = func(_ int, u *pb.Unwritten) {
			waited := time.Since(time.UnixMilli(u.GetSinceUnixMs()))
			if !hurry && u.GetBlocking() && waited > 10*g.insist.stopping {
				op.Clear() // somebody has made room
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		err := g.try(ctx)
		if hurry && !(errors.Is(err, checkpoint.ErrWrite) && errors.Is(err, store.ErrDenied)) ||
			!hurry && err != nil {
			t.Errorf("hurry %t: %v", hurry, err)
		}
	}
}

// TestUnwritablePlaceIsFoundAtTheStart: before the model is read, and before any step.
func TestUnwritablePlaceIsFoundAtTheStart(t *testing.T) {
	f, op := refuse(newFixture(t, small), "train-test/probe/rank-1", store.ErrDenied)
	g := &generation{f: f, number: 1, world: 2, threads: 1}
	g.stepped = func(rank int, _ uint64) {
		if rank == 1 {
			t.Error("rank 1 steps")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	err := g.try(ctx)
	if !errors.Is(err, store.ErrDenied) || !errors.Is(err, checkpoint.ErrWrite) ||
		!strings.Contains(err.Error(), "before the first step") {
		t.Errorf("got %v", err)
	}
	if n := op.Calls(faulty.Put); n != 2 {
		t.Errorf("%d objects were written", n)
	}
}

// TestSlowUpload: one that moves is late, and no hang; one that does not move is taken for one.
func TestSlowUpload(t *testing.T) {
	said := &words{}
	g := &generation{late: said.take}
	u := &upload{step: 7, dir: "file:///ckpt/step-00000007/gen-1", sink: &sink{g, 2},
		log: zerolog.Nop(), done: make(chan error, 1)}
	wake := make(chan time.Time, 1)
	for _, after := range []time.Duration{silence / 2, 2 * silence, 3 * silence} {
		wake <- time.Now().Add(after)
		if ended, err := u.await(t.Context(), wake); ended || err != nil {
			t.Fatalf("ended %v, %v", ended, err)
		}
	}
	u.done <- nil
	if ended, err := u.await(t.Context(), nil); !ended || err != nil {
		t.Fatalf("ended %v, %v", ended, err)
	}
	u.over()
	if len(said.list) != 2 || said.list[1] != nil || said.list[0].GetReason() != "" ||
		!said.list[0].GetBlocking() || said.list[0].GetSinceUnixMs() == 0 {
		t.Errorf("said %v", said.list)
	}
	now := time.Now()
	for i, x := range []struct {
		after time.Duration
		moves bool
		want  bool
	}{{0, false, false}, {stuckAfter, false, false}, {stuckAfter + 1, false, true},
		{stuckAfter + 2, true, false}, {2*stuckAfter + 3, false, true}} {
		if x.moves {
			u.moved.Add(1)
		}
		if got := u.stuck(now.Add(x.after)); got != x.want {
			t.Errorf("look %d: stuck %v", i, got)
		}
	}
}

// TestCountingChangesNothing: what is counted arrives as it is, in parts too.
func TestCountingChangesNothing(t *testing.T) {
	f := newFixture(t, small)
	var moved atomic.Int64
	uri := filepath.Join(t.TempDir(), "x")
	part := make([]float32, 1000)
	for i := range part {
		part[i] = float32(i)
	}
	parts := []checkpoint.Part{{Unit: 0, Kind: kinds[0], Data: part}}
	var sums []string
	for _, op := range []store.Opener{f.opener, counting{f.opener, &moved}} {
		shard, err := checkpoint.WriteShard(t.Context(), op, uri, 0, parts, nil)
		must(t, err)
		b, key, err := f.opener.Open(uri + "/rank-0.safetensors")
		must(t, err)
		info, err := b.Stat(t.Context(), key)
		must(t, err)
		sums = append(sums, fmt.Sprint(info.Size, info.ETag, shard.Object.SHA256))
	}
	if sums[0] != sums[1] || moved.Load() == 0 {
		t.Errorf("%v, %d reads counted", sums, moved.Load())
	}
}
