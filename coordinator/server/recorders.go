package server

import (
	"context"
	"sync"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// recorders keeps one recorder a run for the length of a leadership.
type recorders struct {
	cfg    Config
	bus    Bus
	post   func(any) bool
	ctx    context.Context // of the leadership
	cancel context.CancelFunc

	mu    sync.Mutex
	byRun map[string]*recorder
}

func newRecorders(cfg Config, bus Bus, post func(any) bool) *recorders {
	ctx, cancel := context.WithCancel(context.Background())
	return &recorders{cfg: cfg, bus: bus, post: post, ctx: ctx, cancel: cancel,
		byRun: map[string]*recorder{}}
}

func (r *recorders) close() { r.cancel() }

func (r *recorders) of(run *pb.Run) *recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.byRun[run.GetId()]
	if x == nil {
		x = &recorder{run: run.GetId(), bus: r.bus, log: r.cfg.Log, post: r.post, newest: run,
			in: make(chan any, recorderQueue), curve: newestCurve,
			out: newPublisher(run.GetId(), r.bus, r.cfg.Log)}
		r.byRun[run.GetId()] = x
		go x.work(r.ctx)
	}
	return x
}

// publish hands events over. It may be called with none, to make the recorder learn the history.
func (r *recorders) publish(run *pb.Run, events []*pb.Event) {
	r.give(r.of(run), eventsIn{run, events})
}

// records hands a worker's records over. When the queue is full they are dropped: the worker says
// again what is not acknowledged.
func (r *recorders) records(run *pb.Run, m *pb.StepRecords, ack func(*pb.RecordsAck)) {
	r.give(r.of(run), recordsIn{run, m, ack})
}

// committed tells the recorder of a new checkpoint.
func (r *recorders) committed(run *pb.Run) { r.give(r.of(run), eventsIn{run, nil}) }

func (r *recorders) give(x *recorder, m any) {
	select {
	case x.in <- m:
	default:
		x.log.Warn().Str("run", x.run).Msg("recorder does not keep up; item dropped")
	}
}

// lastStep is the newest step accepted of a run, 0 when unknown.
func (r *recorders) lastStep(run string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.byRun[run]; x != nil {
		return x.lastSeen.Load()
	}
	return 0
}
