package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/checkpoint"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// insistence is how a rank goes on when the store refuses its part of a checkpoint, or does not
// answer. The steps since the last checkpoint are in these processes alone: as long as there is
// hope, nothing is gained by ending them.
type insistence struct {
	pause, longest time.Duration // before the second try, doubled by each further one
	// poll is how long a rank waits for its upload before it meets the others again. No rank may
	// just stay away: they would wait for it in a collective, and take it for dead.
	poll     time.Duration
	patience time.Duration // how long the step loop waits for a checkpoint that is refused
	stopping time.Duration // the same, once a user asked the run to stop
}

var defaultInsistence = insistence{pause: time.Second, longest: 30 * time.Second, poll: time.Second,
	patience: 30 * time.Minute, stopping: time.Minute}

// stuckAfter is how long an upload may move nothing before its rank is no longer taken for busy.
const stuckAfter = time.Minute

// upload is a rank's part of one checkpoint on its way to the store, beside the loop.
type upload struct {
	insist  insistence
	step    uint64
	to, dir string // the place of all checkpoints, and the folder of this one
	write   func(ctx context.Context, to store.Opener) error
	control Control
	sink    Sink
	log     zerolog.Logger

	done  chan error   // how it ended
	moved atomic.Int64 // grows with every read for the store, and with every try

	mu      sync.Mutex
	refused error     // by the last try
	since   time.Time // of the first try that failed
	waited  time.Time // when the loop began to wait; zero: it has not
	told    bool      // that it is late

	seen   int64 // of moved, by the loop
	seenAt time.Time
}

// run tries until the part is written, ctx ends, or the loop has waited for too long.
func (u *upload) run(ctx context.Context, op store.Opener) error {
	for pause := u.insist.pause; ; pause = min(2*pause, u.insist.longest) {
		err := u.write(ctx, counting{op, &u.moved})
		u.moved.Add(1)
		if err == nil || ctx.Err() != nil {
			u.over()
			return err
		}
		if err := u.failed(err); err != nil {
			return err
		}
		again := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		}
	}
}

// failed notes a try that failed, and answers an error when it was the last.
func (u *upload) failed(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.refused == nil {
		u.since = now
	}
	u.refused = err
	u.log.Warn().Err(err).Uint64("step", u.step).Time("since", u.since).
		Msg("checkpoint is not written; trying again")
	u.tell()
	limit := u.insist.patience
	if u.control.InHurry() {
		limit = u.insist.stopping
	}
	if u.waited.IsZero() || min(now.Sub(u.waited), now.Sub(u.since)) < limit {
		return nil
	}
	return fmt.Errorf("%w to %s: that of step %d was refused for %v, and training has waited for "+
		"it for %v: %w; once the cause is gone, `banyan resume` goes on from the newest checkpoint",
		checkpoint.ErrWrite, u.to, u.step, now.Sub(u.since).Round(time.Second),
		now.Sub(u.waited).Round(time.Second), err)
}

// over tells that the part is written, if it was told that it is late.
func (u *upload) over() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told {
		u.sink.Unwritten(nil)
	}
}

// await waits for the end, but no longer than until wake. It is the loop that calls it.
func (u *upload) await(ctx context.Context, wake <-chan time.Time) (ended bool, err error) {
	u.mu.Lock()
	if u.waited.IsZero() {
		u.waited = time.Now()
		if u.refused != nil {
			u.tell()
		}
	}
	u.mu.Unlock()
	select {
	case err := <-u.done:
		return true, err
	case <-ctx.Done():
		return true, context.Cause(ctx)
	case now := <-wake:
		u.mu.Lock()
		defer u.mu.Unlock()
		if !u.told && now.Sub(u.waited) > silence {
			u.tell()
		}
	}
	return false, nil
}

// tell says that the part is late. The caller holds the lock, so that words come in their order.
func (u *upload) tell() {
	late := &pb.Unwritten{Step: u.step, Uri: u.dir, Blocking: !u.waited.IsZero(),
		SinceUnixMs: u.waited.UnixMilli()}
	if u.refused != nil {
		late.Reason, late.SinceUnixMs = u.refused.Error(), u.since.UnixMilli()
	}
	u.told = true
	u.sink.Unwritten(late)
}

// stuck reports whether nothing has moved for a while. It is the loop that calls it.
func (u *upload) stuck(now time.Time) bool {
	if moved := u.moved.Load(); moved != u.seen || u.seenAt.IsZero() {
		u.seen, u.seenAt = moved, now
	}
	return now.Sub(u.seenAt) > stuckAfter
}
