package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	// After a hint the message is asked for at once, then at growing intervals up to eagerDelay:
	// hints run ahead of storage, by an election at worst. Without a hint (they may be lost, and a
	// dropped repetition hints at nothing) a follower still looks once per idleDelay.
	hintDelay  = time.Millisecond
	eagerDelay = 50 * time.Millisecond
	eagerLooks = 400
	idleDelay  = time.Second
	// backwardsChecks in a row must see the sequence behind the reader before it is believed: a
	// leader that has just been elected may not have applied its last messages yet.
	backwardsChecks = 3
)

// Read calls fn with every retained item of run, in order, up to the newest one at the time of the
// call. An error of fn ends it and is returned. While the stream is unavailable it keeps trying
// until ctx ends (ErrUnavailable). A run nobody has published for has an empty history.
func (b *Bus) Read(ctx context.Context, run string, fn func(*pb.WatchItem) error) error {
	if err := checkRun(run); err != nil {
		return fmt.Errorf("read items: %w", err)
	}
	f, err := b.newFetcher(run)
	if err != nil {
		return fmt.Errorf("read items of run %s: %w", run, err)
	}
	defer f.close()
	ctx, cancel := b.untilClosed(ctx)
	defer cancel()
	r := reader{bus: b, f: f, run: run, fn: fn, next: 1, delay: hintDelay}
	if err := r.readAll(ctx); err != nil {
		return fmt.Errorf("read items of run %s: %w", run, err)
	}
	return nil
}

// Follow calls fn with the history of run and then with each item as it comes, until ctx ends or fn
// fails, and returns that error. It outlives the loss of other members: an item is neither lost nor
// repeated as long as the stream lives (see the package comment for when it does not). fn may be as
// slow as it likes: nothing is buffered for it but one batch.
func (b *Bus) Follow(ctx context.Context, run string, fn func(*pb.WatchItem) error) error {
	if err := checkRun(run); err != nil {
		return fmt.Errorf("follow items: %w", err)
	}
	f, err := b.newFetcher(run)
	if err != nil {
		return fmt.Errorf("follow items of run %s: %w", run, err)
	}
	defer f.close()
	hints, leave, err := b.hints.follow(run)
	if err != nil {
		return fmt.Errorf("follow items of run %s: %w", run, b.classify(err))
	}
	defer leave()
	ctx, cancel := b.untilClosed(ctx)
	defer cancel()
	r := reader{bus: b, f: f, run: run, fn: fn, next: 1, delay: hintDelay, hints: hints}
	return fmt.Errorf("follow items of run %s: %w", run, r.follow(ctx))
}

// reader is the position of one Read or Follow.
type reader struct {
	bus   *Bus
	f     *fetcher
	run   string
	fn    func(*pb.WatchItem) error
	hints <-chan struct{}

	next  uint64        // Invariant: every message of the run below it has been passed to fn
	read  stored        // the last one passed, without its data
	delay time.Duration // until the next look
	eager int           // looks left at which a hinted message is expected

	created   time.Time // of the stream that next counts in; zero until known
	checked   bool
	backwards int
}

func (r *reader) readAll(ctx context.Context) error {
	last, err := r.lastSequence(ctx)
	for err == nil && r.next <= last {
		var msgs []stored
		msgs, _, err = r.f.fetch(ctx, r.next)
		for i, m := range msgs {
			if m.seq > last {
				msgs = msgs[:i]
				r.next = last + 1
				break
			}
		}
		if ferr := r.pass(msgs); ferr != nil {
			return ferr
		}
		switch {
		case len(msgs) > 0:
			r.delay, err = hintDelay, nil
		case r.next <= last: // an error, a replica that lags, or messages just discarded
			if werr := r.wait(ctx, err); werr != nil {
				return werr
			}
			var now uint64
			if now, err = r.lastSequence(ctx); now < last {
				last = now
			}
		}
	}
	return err
}

// lastSequence asks until there is an answer or ctx ends.
func (r *reader) lastSequence(ctx context.Context) (uint64, error) {
	for {
		last, err := r.f.lastSequence(ctx)
		if err == nil {
			return last, nil
		}
		r.bus.miss(err)
		if err := r.wait(ctx, err); err != nil {
			return 0, err
		}
	}
}

// follow never returns nil: it ends with ctx, or with an error of fn.
func (r *reader) follow(ctx context.Context) error {
	for {
		msgs, more, err := r.fetch(ctx)
		if errors.Is(err, errAnew) {
			r.beginAnew()
			continue
		}
		if ferr := r.pass(msgs); ferr != nil {
			return ferr
		}
		if len(msgs) > 0 {
			r.delay, r.backwards, r.eager = hintDelay, 0, 0
		}
		if more && err == nil {
			continue
		}
		if err := r.wait(ctx, err); err != nil {
			return err
		}
		if err != nil || r.delay >= idleDelay || !r.checked {
			r.bus.miss(err)
			r.checkStream(ctx)
		}
	}
}

// fetch gets what comes next. Until a leader has said which stream this is, every batch begins with
// the last message of the one before: nothing else tells that they are of one stream.
func (r *reader) fetch(ctx context.Context) ([]stored, bool, error) {
	if r.created.IsZero() && r.read.seq > 0 {
		return r.f.fetchAfter(ctx, r.read)
	}
	return r.f.fetch(ctx, r.next)
}

// pass hands messages to fn. What does not decode is not ours: it is logged and passed over.
func (r *reader) pass(msgs []stored) error {
	for _, m := range msgs {
		item := &pb.WatchItem{}
		if err := proto.Unmarshal(m.data, item); err != nil {
			r.bus.log.Warn().Err(err).Str("run", r.run).Uint64("sequence", m.seq).
				Msg("foreign message in the stream")
		} else if err := r.fn(item); err != nil {
			return err
		}
		r.next, r.read = m.seq+1, stored{seq: m.seq, at: m.at}
	}
	return nil
}

// wait pauses for the reader's delay, or until a hint, and doubles the delay. cause is why there is
// nothing to do, and part of the error when ctx ends.
func (r *reader) wait(ctx context.Context, cause error) error {
	if cause != nil && r.delay < 20*time.Millisecond {
		r.delay = 20 * time.Millisecond // an error is no reason to hurry
	}
	t := time.NewTimer(r.delay)
	defer t.Stop()
	r.delay = min(2*r.delay, idleDelay)
	if r.eager > 0 {
		r.eager--
		r.delay = min(r.delay, eagerDelay)
	}
	select {
	case <-t.C:
	case <-r.hints:
		r.delay, r.eager = hintDelay, eagerLooks
	case <-ctx.Done():
	}
	if ctx.Err() == nil {
		return nil
	}
	end := context.Cause(ctx)
	if cause == nil || errors.Is(end, ErrClosed) {
		return end
	}
	return fmt.Errorf("%w: %w: last answer: %w", ErrUnavailable, end, cause)
}

// checkStream looks whether the stream is still the one that next counts in, and begins anew when
// it is not. The stream's leader must answer; while there is none, reading goes on.
func (r *reader) checkStream(ctx context.Context) {
	r.checked = true
	ctx, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	s, err := r.bus.js.Stream(ctx, streamName)
	if err != nil {
		r.bus.miss(err)
		return
	}
	info := s.CachedInfo()
	behind := info.State.LastSeq+1 < r.next
	if behind {
		r.backwards++
	} else {
		r.backwards = 0
	}
	fresh := !info.Created.Equal(r.created)
	if r.created.IsZero() {
		fresh, err = r.elsewhere(ctx)
		if err != nil || fresh && behind && r.backwards < backwardsChecks {
			return // asked again when idle
		}
	}
	if fresh || r.backwards >= backwardsChecks {
		r.beginAnew()
	}
	r.created = info.Created
}

// beginAnew goes to the start of a stream that is not the one that was read.
func (r *reader) beginAnew() {
	r.bus.log.Warn().Str("run", r.run).Uint64("read_to", r.next-1).
		Msg("stream was lost; reading the new one")
	r.next, r.read, r.backwards, r.delay = 1, stored{}, 0, hintDelay
}

// elsewhere says whether what was read so far is not of the stream that is there now. Reading may
// have begun before any leader answered, and the stream may have been made anew meanwhile.
func (r *reader) elsewhere(ctx context.Context) (bool, error) {
	if r.read.seq == 0 {
		return false, nil
	}
	m, err := r.f.askLeader(ctx, getRequest{Seq: r.read.seq})
	return m.seq != r.read.seq || !m.at.Equal(r.read.at), err
}

// untilClosed is ctx, ended also by Close, with the cause ErrClosed then.
func (b *Bus) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-b.done:
			cancel(ErrClosed)
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel(nil) }
}
