package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

// Bus is the telemetry stream; telemetry implements it.
type Bus interface {
	// Publish appends an item to a run's history; the same id is stored once.
	Publish(ctx context.Context, run, id string, item *pb.WatchItem) error
	// Read gives the retained history of a run in order, then returns.
	Read(ctx context.Context, run string, fn func(*pb.WatchItem) error) error
	// Follow gives the history, then what comes, until ctx ends or fn fails.
	Follow(ctx context.Context, run string, fn func(*pb.WatchItem) error) error
}

const (
	recorderQueue = 4096
	// historyWait bounds how long a new leader waits for the telemetry it inherits: watchers wait
	// with it.
	historyWait  = time.Second
	historyPause = 100 * time.Millisecond
)

// recorder puts one run's records and events in order, each step once (I11): to the watchers of
// this leader at once, and to the bus through the publisher.
//
// A replayed step is compared with its first value and suppressed; a difference breaks promise P2
// and stops the run. In fast numerics a new generation takes back what older ones made past its
// start, with an event, and its steps are new ones. A gap is filled from the newest checkpoint's
// curve, else asked for again.
type recorder struct {
	run   string
	bus   Bus
	log   zerolog.Logger
	in    chan any
	post  func(any) bool
	curve func(context.Context, *pb.Run) ([]*pb.StepRecord, error) // of the newest checkpoint
	out   *publisher
	hub   hub

	newest  *pb.Run // as last told; for its checkpoints
	last    uint64  // newest step accepted
	recent  map[uint64]*pb.StepRecord
	events  map[uint64]map[pb.EventKind]bool // accepted, by index
	resumes []*pb.Event

	lastSeen atomic.Uint64 // last, for other goroutines
}

type (
	recordsIn struct {
		run *pb.Run
		m   *pb.StepRecords
		ack func(*pb.RecordsAck)
	}
	eventsIn struct {
		run    *pb.Run
		events []*pb.Event
	}
)

func (r *recorder) work(ctx context.Context) {
	r.inherit(ctx)
	go r.out.work(ctx)
	for {
		select {
		case m := <-r.in:
			switch m := m.(type) {
			case recordsIn:
				r.catchUp(ctx, m.run, nil)
				r.take(ctx, m)
			case eventsIn:
				r.catchUp(ctx, m.run, m.events)
				r.prune()
			}
		case <-ctx.Done():
			return
		}
	}
}

// catchUp takes in every event that the replicated state knows, also those whose hand-over was
// lost with the answer to a command: a resume must be known before the records after it come.
func (r *recorder) catchUp(ctx context.Context, run *pb.Run, events []*pb.Event) {
	r.newest = run
	for _, list := range [][]*pb.Event{run.GetEvents(), events} {
		for _, e := range list {
			r.event(ctx, e)
		}
	}
}

// inherit learns what earlier leaders published, from the bus; when the bus is not back yet (an
// election of its own takes seconds), from the newest checkpoint's curve: workers say again what
// came after it, and the bus drops what it has already.
func (r *recorder) inherit(ctx context.Context) {
	try, cancel := context.WithTimeout(ctx, historyWait)
	defer cancel()
	err := r.history(try)
	for err != nil && try.Err() == nil {
		select {
		case <-time.After(historyPause):
		case <-try.Done():
		}
		err = r.history(try)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	r.log.Info().Err(err).Str("run", r.run).Msg("telemetry history not readable yet")
	if state.Newest(r.newest) == nil {
		return
	}
	curve, err := r.curve(ctx, r.newest)
	if err != nil {
		r.log.Warn().Err(err).Str("run", r.run).Msg("read the newest checkpoint's curve")
		return
	}
	for _, s := range curve {
		if s.GetStep() > r.last {
			r.seen(s)
		}
	}
}

// history reads what is on the bus.
func (r *recorder) history(ctx context.Context) error {
	r.last, r.recent, r.resumes = 0, map[uint64]*pb.StepRecord{}, nil
	r.events = map[uint64]map[pb.EventKind]bool{}
	return r.bus.Read(ctx, r.run, func(item *pb.WatchItem) error {
		// The stream may have dropped the oldest ones.
		if s := item.GetStep(); s != nil && s.GetStep() > r.last {
			r.seen(s)
		}
		if e := item.GetEvent(); e != nil {
			r.markEvent(e)
		}
		return nil
	})
}

func (r *recorder) seen(s *pb.StepRecord) {
	r.last = s.GetStep()
	r.recent[r.last] = s
	r.lastSeen.Store(r.last)
}

func (r *recorder) markEvent(e *pb.Event) bool {
	if r.events[e.GetIndex()][e.GetKind()] {
		return false
	}
	if r.events[e.GetIndex()] == nil {
		r.events[e.GetIndex()] = map[pb.EventKind]bool{}
	}
	r.events[e.GetIndex()][e.GetKind()] = true
	if takesBack(e) {
		// What was recorded past this point is superseded.
		r.resumes = append(r.resumes, e)
		for r.last > e.GetStep() {
			delete(r.recent, r.last)
			r.last--
		}
		r.lastSeen.Store(r.last)
	}
	return true
}

func (r *recorder) event(ctx context.Context, e *pb.Event) {
	if !r.markEvent(e) {
		return
	}
	switch e.GetKind() {
	case pb.EventKind_RUN_SUCCEEDED, pb.EventKind_RUN_STOPPED:
		if r.last < e.GetStep() { // rank 0's worker died with the last records; the curve has them
			r.fill(ctx, e.GetStep())
		}
	}
	id := fmt.Sprintf("%s-e%d-%d", r.run, e.GetIndex(), e.GetKind())
	r.emit(id, &pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}})
}

// take accepts records in order and acknowledges what is on the bus already.
func (r *recorder) take(ctx context.Context, in recordsIn) {
	r.out.acknowledgeTo(in.m.GetGeneration(), in.ack)
	ack := &pb.RecordsAck{Run: r.run, Generation: in.m.GetGeneration()}
	for _, s := range in.m.GetRecords() {
		if superseded(r.resumes, s) {
			continue // a worker that comes back late with an older generation's steps
		}
		if s.GetStep() > r.last+1 {
			r.fill(ctx, s.GetStep()-1)
		}
		if s.GetStep() > r.last+1 {
			ack.ResendFrom = r.last + 1
			break // those after it are no nearer
		}
		if s.GetStep() == r.last+1 {
			r.record(s)
			continue
		}
		first := r.recent[s.GetStep()]
		if first != nil && s.GetNumerics() == "" && !SameRecord(first, s) {
			r.post(diverged{r.run, in.m.GetGeneration(), divergence(first, s)})
			return
		}
	}
	if ack.Step = r.out.published(r.last); ack.Step > 0 || ack.ResendFrom > 0 {
		in.ack(ack)
	}
}

func (r *recorder) record(s *pb.StepRecord) {
	r.seen(s)
	epoch := uint64(0) // the newest event that took this step back: its id is a new one
	for _, e := range r.resumes {
		if s.GetStep() > e.GetStep() {
			epoch = max(epoch, e.GetIndex())
		}
	}
	r.emit(fmt.Sprintf("%s-s%d-%d", r.run, s.GetStep(), epoch),
		&pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}})
}

// emit shows an item to the watchers here and queues it for the bus.
func (r *recorder) emit(id string, item *pb.WatchItem) {
	r.hub.show(item)
	r.out.add(id, item)
}

// fill accepts the records up to a step from the newest checkpoint's curve, if it holds them.
func (r *recorder) fill(ctx context.Context, upTo uint64) {
	if state.Newest(r.newest).GetStep() <= r.last {
		return // it holds nothing new: not worth reading again and again
	}
	curve, err := r.curve(ctx, r.newest)
	if err != nil {
		r.log.Warn().Err(err).Str("run", r.run).Msg("fill gap in the loss curve")
		return
	}
	for _, s := range curve {
		if s.GetStep() == r.last+1 && s.GetStep() <= upTo {
			r.record(s)
		}
	}
}

// prune forgets records that no generation will replay: those up to the oldest live checkpoint.
func (r *recorder) prune() {
	refs := r.newest.GetCheckpoints()
	if len(refs) == 0 {
		return
	}
	for step := range r.recent {
		if step <= refs[0].GetStep() {
			delete(r.recent, step)
		}
	}
}

// SameRecord compares what must be the same bits in every replay of a step: everything but the
// generation and the timings.
func SameRecord(a, b *pb.StepRecord) bool {
	return proto.Equal(timeless(a), timeless(b))
}

func timeless(s *pb.StepRecord) *pb.StepRecord {
	c := proto.CloneOf(s)
	c.Generation, c.Timings = 0, nil
	return c
}

func divergence(first, again *pb.StepRecord) string {
	return fmt.Sprintf("step %d came out differently when generation %d replayed it: "+
		"loss %v then %v, grad norm %v then %v, lr %v then %v, data %s then %s; "+
		"a run must be a function of its spec, so it stops here",
		first.GetStep(), again.GetGeneration(), first.GetLoss(), again.GetLoss(),
		first.GetGradNorm(), again.GetGradNorm(), first.GetLr(), again.GetLr(),
		first.GetDataDigest(), again.GetDataDigest())
}

// newestCurve reads the loss curve that travels with the newest checkpoint.
func newestCurve(ctx context.Context, run *pb.Run) ([]*pb.StepRecord, error) {
	ref := state.Newest(run)
	if ref == nil {
		return nil, fmt.Errorf("run %s has no checkpoint yet", run.GetId())
	}
	opener, err := router.New(run.GetResolved().GetSpec().GetStores())
	if err != nil {
		return nil, err
	}
	reader, err := checkpoint.Open(ctx, opener, ref.GetUri(), ref.GetDigest())
	if err != nil {
		return nil, err
	}
	return reader.Curve(ctx)
}
