package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/coordinator/telemetry"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	// publishTry is long against an election of the bus (some 8 s after a member is killed).
	publishTry   = 15 * time.Second
	publishPause = 200 * time.Millisecond
	// maxUnpublished bounds what waits for a bus that is down. What is dropped, oldest first, is in
	// the next checkpoint's curve.
	maxUnpublished = 20_000
)

// publisher puts one run's items on the bus, in order, and acknowledges records once they are
// there. Whoever adds never waits for the bus: a run must train without it.
type publisher struct {
	run string
	bus Bus
	log zerolog.Logger

	mu         sync.Mutex
	queue      []unpublished
	wake       chan struct{} // holds a token when the queue may have something
	generation uint64
	ack        func(*pb.RecordsAck)
}

type unpublished struct {
	id   string
	item *pb.WatchItem
}

func newPublisher(run string, bus Bus, log zerolog.Logger) *publisher {
	return &publisher{run: run, bus: bus, log: log, wake: make(chan struct{}, 1)}
}

func (p *publisher) add(id string, item *pb.WatchItem) {
	p.mu.Lock()
	p.queue = append(p.queue, unpublished{id, item})
	if len(p.queue) > maxUnpublished {
		p.queue = append([]unpublished(nil), p.queue[len(p.queue)-maxUnpublished:]...)
		p.log.Warn().Str("run", p.run).Msg("telemetry is down; oldest items dropped")
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// acknowledgeTo says who hears of the records of a generation.
func (p *publisher) acknowledgeTo(generation uint64, ack func(*pb.RecordsAck)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation, p.ack = generation, ack
}

// published is the newest step that is on the bus, when all up to last were added.
func (p *publisher) published(last uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.queue {
		if s := u.item.GetStep(); s != nil {
			return s.GetStep() - 1
		}
	}
	return last
}

func (p *publisher) work(ctx context.Context) {
	for {
		select {
		case <-p.wake:
			for p.first(ctx) {
			}
		case <-ctx.Done():
			return
		}
	}
}

// first publishes the oldest item; false when there is none or ctx ended.
func (p *publisher) first(ctx context.Context) bool {
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.mu.Unlock()
		return false
	}
	u := p.queue[0]
	p.mu.Unlock()
	if !p.publish(ctx, u) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 && p.queue[0].id == u.id {
		p.queue = p.queue[1:]
	}
	if s := u.item.GetStep(); s != nil && p.ack != nil {
		p.ack(&pb.RecordsAck{Run: p.run, Generation: p.generation, Step: s.GetStep()})
	}
	return true
}

// publish tries until the item is stored or ctx ends.
func (p *publisher) publish(ctx context.Context, u unpublished) bool {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, publishTry)
		err := p.bus.Publish(try, p.run, u.id, u.item)
		cancel()
		if err == nil {
			return true
		}
		if errors.Is(err, telemetry.ErrInvalid) {
			p.log.Error().Err(err).Str("run", p.run).Msg("item cannot be published; dropped")
			return true
		}
		p.log.Debug().Err(err).Str("run", p.run).Msg("publish; retrying")
		select {
		case <-time.After(publishPause):
		case <-ctx.Done():
		}
	}
	return false
}
