package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// A batch is what one request may bring: the server's and the reader's memory for one watcher.
	// The server stops after the message that passes the bound, so one batch is below 2 MiB, or 3
	// with a message that was read before.
	batchMessages = 256
	batchBytes    = 1 << 20

	fetchTimeout = 2 * time.Second

	directGet = "$JS.API.DIRECT.GET." + streamName
	leaderGet = "$JS.API.STREAM.MSG.GET." + streamName

	pendingHeader = "Nats-Num-Pending"
)

// stored is one message of the stream.
type stored struct {
	seq  uint64
	at   time.Time // when it was stored, in the words of the leader of then
	data []byte
}

// fetcher reads one subject in batches. It holds one inbox; replies carry their request's number,
// so that a late answer to an abandoned request is recognised and dropped. Not safe for concurrent
// use.
type fetcher struct {
	bus     *Bus
	subject string
	inbox   string
	sub     *nats.Subscription
	replies chan *nats.Msg
	request uint64
	limit   time.Duration // for the next answer
}

func (b *Bus) newFetcher(run string) (*fetcher, error) {
	inbox := b.nc.NewInbox()
	// Room for a batch and the end of an abandoned one. What does not fit is dropped, and missed.
	replies := make(chan *nats.Msg, 2*batchMessages+2)
	sub, err := b.nc.ChanSubscribe(inbox+".*", replies)
	if err != nil {
		return nil, b.classify(err)
	}
	return &fetcher{
		bus: b, subject: subject(run), inbox: inbox, sub: sub, replies: replies, limit: firstTry,
	}, nil
}

func (f *fetcher) close() { _ = f.sub.Unsubscribe() } // fails only on a closed connection

type getRequest struct {
	Seq         uint64 `json:"seq,omitempty"`
	NextSubject string `json:"next_by_subj,omitempty"`
	LastSubject string `json:"last_by_subj,omitempty"`
	Batch       int    `json:"batch,omitempty"`
	MaxBytes    int    `json:"max_bytes,omitempty"`
}

// errBroken: a batch came with a hole in it; what came before the hole is good.
var errBroken = errors.New("batch broke off")

// errAnew: what was read is not in the stream any more.
var errAnew = errors.New("stream was made anew")

// fetch returns the next messages from sequence seq on, none when the replica that answered has
// none (yet), and whether that replica has more. With an error, messages may come too: they are a
// prefix of the batch.
func (f *fetcher) fetch(ctx context.Context, seq uint64) (msgs []stored, more bool, err error) {
	return f.fetchBytes(ctx, seq, batchBytes)
}

// fetchAfter is fetch for the messages after one that was read; another that has its place now, or
// a later one, makes it errAnew. It brings at least one new message where there is one.
func (f *fetcher) fetchAfter(ctx context.Context, read stored) ([]stored, bool, error) {
	msgs, more, err := f.fetchBytes(ctx, read.seq, batchBytes+maxPayload)
	if len(msgs) == 0 {
		return nil, more, err
	}
	if msgs[0].seq != read.seq || !msgs[0].at.Equal(read.at) {
		return nil, false, errAnew
	}
	return msgs[1:], more, err
}

func (f *fetcher) fetchBytes(ctx context.Context, seq uint64, bytes int) (msgs []stored, more bool,
	err error) {
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	defer func() {
		if err == nil {
			f.limit = firstTry
		} else { // a dead replica, or a slow one
			f.limit = min(2*f.limit, fetchTimeout)
		}
	}()
	f.request++
	reply := f.inbox + "." + strconv.FormatUint(f.request, 10)
	body, err := json.Marshal(getRequest{
		Seq: seq, NextSubject: f.subject, Batch: batchMessages, MaxBytes: bytes,
	})
	if err != nil {
		return nil, false, fmt.Errorf("encode request: %w", err)
	}
	if err := f.bus.nc.PublishRequest(directGet, reply, body); err != nil {
		return nil, false, err
	}
	last := uint64(0) // in this batch
	for {
		var m *nats.Msg
		select {
		case m = <-f.replies:
		case <-ctx.Done():
			return msgs, false, ctx.Err()
		}
		if m.Subject != reply {
			continue
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "404":
			return msgs, false, nil
		case "204":
			if number(m, jetstream.LastSequenceHeader) != last {
				return msgs, false, errBroken
			}
			return msgs, number(m, pendingHeader) > 0, nil
		case "503":
			return msgs, false, nats.ErrNoResponders
		default:
			return msgs, false, fmt.Errorf("status %s: %s", status, m.Header.Get("Description"))
		}
		// Each message names its predecessor in the batch: a broken route may have eaten some.
		at := number(m, jetstream.SequenceHeader)
		if number(m, jetstream.LastSequenceHeader) != last || at < seq || at <= last {
			return msgs, false, errBroken
		}
		when, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
		if err != nil {
			return msgs, false, fmt.Errorf("time of message %d: %w", at, err)
		}
		msgs = append(msgs, stored{seq: at, at: when, data: m.Data})
		last = at
	}
}

// number reads a numeric header; 0 when it is not there.
func number(m *nats.Msg, name string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// lastSequence is the newest message of the subject: 0 when there is none. Unlike a replica's, the
// leader's answer covers everything acknowledged before.
func (f *fetcher) lastSequence(ctx context.Context) (uint64, error) {
	m, err := f.askLeader(ctx, getRequest{LastSubject: f.subject})
	return m.seq, err
}

// askLeader asks the stream's leader for one message: the zero one when there is none.
func (f *fetcher) askLeader(ctx context.Context, what getRequest) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := json.Marshal(what)
	if err != nil {
		return stored{}, fmt.Errorf("encode request: %w", err)
	}
	m, err := f.bus.nc.RequestWithContext(ctx, leaderGet, body)
	if err != nil {
		return stored{}, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq  uint64    `json:"seq"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("decode answer: %w", err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return stored{}, nil
		}
		return stored{}, answer.Error
	}
	return stored{seq: answer.Message.Seq, at: answer.Message.Time}, nil
}
