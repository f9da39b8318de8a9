package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

var (
	// ErrUnavailable: the stream did not answer, or refused for reasons of its own (no leader, no
	// space). Whether an item was stored is unknown; publishing it again with the same id is safe.
	ErrUnavailable = errors.New("telemetry unavailable")
	// ErrInvalid: a run name or item that can never be published.
	ErrInvalid = errors.New("invalid telemetry item")
	// ErrClosed: this Bus has been closed.
	ErrClosed = errors.New("telemetry closed")
)

// subject is where a run's items go.
func subject(run string) string { return "banyan." + run + ".items" }

// checkRun refuses names that would reach other runs' subjects, or none.
func checkRun(run string) error {
	if run == "" || strings.ContainsAny(run, ".*> \t\r\n\x00") {
		return fmt.Errorf("run %q: %w: empty, or with '.', '*', '>' or blanks", run, ErrInvalid)
	}
	return nil
}

// Publish stores item under run and returns once a majority of the replicas has it (in memory: see
// the package comment). id names the item: a second one with the same id within DedupWindow is
// dropped, which also lets Publish itself ask again, until ctx ends, when a leader died with the
// question. Without a deadline in ctx it gives up after 5 s. Errors: ErrUnavailable, ErrInvalid,
// ErrClosed.
func (b *Bus) Publish(ctx context.Context, run, id string, item *pb.WatchItem) error {
	if err := checkRun(run); err != nil {
		return fmt.Errorf("publish item: %w", err)
	}
	if id == "" || strings.ContainsAny(id, "\r\n") {
		return fmt.Errorf("publish item: id %q: %w: empty, or more than a line", id, ErrInvalid)
	}
	data, err := proto.Marshal(item)
	if err != nil {
		return fmt.Errorf("publish item: encode: %w: %w", ErrInvalid, err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, apiTimeout)
		defer cancel()
	}
	for try := firstTry; ; try = min(2*try, apiTimeout) {
		err := b.publishOnce(ctx, try, subject(run), id, data)
		if err == nil {
			return nil
		}
		b.miss(err)
		err = b.classify(err)
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil || !pause(ctx, publishPause) {
			return fmt.Errorf("publish item %s of run %s: %w", id, run, err)
		}
	}
}

// publishPause is short against an election and long against a refusal.
const publishPause = 50 * time.Millisecond

func (b *Bus) publishOnce(ctx context.Context, limit time.Duration, subject, id string,
	data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := b.js.Publish(ctx, subject, data, jetstream.WithMsgID(id),
		jetstream.WithExpectStream(streamName), jetstream.WithRetryAttempts(0))
	return err
}

// classify puts one of the package's errors in front of NATS's.
func (b *Bus) classify(err error) error {
	var api *jetstream.APIError
	switch {
	case b.closed():
		return ErrClosed
	case errors.Is(err, nats.ErrMaxPayload),
		errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("%w: above %d bytes: %w", ErrInvalid, maxPayload, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

func (b *Bus) closed() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}
