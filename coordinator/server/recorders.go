package server

import (
	"context"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// recorders keeps one recorder a run for the length of a leadership. Only the leader's loop calls
// it, except lastStep's reads of a recorder's own counter.
type recorders struct {
	cfg    Config
	bus    Bus
	post   func(any) bool
	ctx    context.Context
	cancel context.CancelFunc
	byRun  map[string]*recorder
}

func newRecorders(cfg Config, bus Bus, post func(any) bool) *recorders {
	ctx, cancel := context.WithCancel(context.Background())
	return &recorders{cfg: cfg, bus: bus, post: post, ctx: ctx, cancel: cancel,
		byRun: map[string]*recorder{}}
}

func (r *recorders) close() { r.cancel() }

func (r *recorders) of(run *pb.Run) *recorder {
	x := r.byRun[run.GetId()]
	if x == nil {
		x = &recorder{run: run.GetId(), bus: r.bus, log: r.cfg.Log, post: r.post, newest: run,
			in: make(chan any, recorderQueue), opens: newestCurve}
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
		x.log.Warn().Str("run", x.run).Msg("telemetry does not keep up; item dropped")
	}
}

// lastStep is the newest step published of a run, 0 when unknown.
func (r *recorders) lastStep(run string) uint64 {
	x := r.byRun[run]
	if x == nil {
		return 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lastSeen
}
