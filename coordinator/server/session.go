package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// session is one worker's stream, as the leader sees it.
type session struct {
	worker string
	info   *pb.WorkerInfo
	host   string
	out    chan *pb.CoordinatorMessage
	stop   context.CancelCauseFunc
	last   *pb.Desired // what the worker was told last; only the loop touches it
	had    []rankKey   // ranks heard of in the session before; only the loop touches it
	// refused: the state machine does not take this worker; only the loop touches it.
	refused bool
	heard   atomic.Int64 // unix ns at which its last message arrived, however long it then waits
}

// sessionQueue bounds what waits for a slow worker; past it the session ends and begins anew.
const sessionQueue = 1024

// touch renews the worker's lease.
func (s *session) touch() { s.heard.Store(time.Now().UnixNano()) }

func (s *session) end(cause error) { s.stop(cause) }

func (s *session) send(m *pb.CoordinatorMessage) {
	select {
	case s.out <- m:
	default:
		s.end(errors.New("worker does not keep up"))
	}
}

// desire tells the worker its ranks if that is news.
func (s *session) desire(d *pb.Desired) {
	if s.last != nil && proto.Equal(s.last, d) {
		return
	}
	s.last = d
	s.send(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_Desired{Desired: d}})
}

func (s *session) sendAck(a *pb.RecordsAck) {
	s.send(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_RecordsAck{RecordsAck: a}})
}

// workerService serves sessions on whichever member leads.
type workerService struct {
	pb.UnimplementedWorkerServiceServer
	m *member
}

// Session holds one worker until it leaves, a newer session replaces it, or the leadership ends.
func (w workerService) Session(stream pb.WorkerService_SessionServer) error {
	l, err := w.m.leading()
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello.GetInfo().GetId() == "" {
		return status.Error(codes.InvalidArgument, "a session begins with a hello that names the worker")
	}
	ctx, stop := context.WithCancelCause(stream.Context())
	defer stop(nil)
	s := &session{worker: hello.GetInfo().GetId(), info: hello.GetInfo(), host: hello.GetHost(),
		out: make(chan *pb.CoordinatorMessage, sessionQueue), stop: stop}
	s.touch()
	welcome := &pb.Welcome{LeaseTtlMs: w.m.cfg.LeaseTTL.Milliseconds(), Leader: w.m.cfg.ID,
		Epoch: l.epoch}
	s.send(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_Welcome{Welcome: welcome}})
	if !l.post(opened{s}) {
		return w.m.notLeader()
	}
	defer l.post(closed{s})
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				stop(err)
				return
			}
			s.touch()
			if !l.post(said{s, m}) {
				stop(errLeadershipLost)
				return
			}
		}
	}()
	beat := time.NewTicker(w.m.cfg.LeaseTTL / 4)
	defer beat.Stop()
	for {
		select {
		case m := <-s.out:
			if err := stream.Send(m); err != nil {
				return err
			}
		case <-beat.C:
			s.send(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_Heartbeat{
				Heartbeat: &pb.Heartbeat{}}})
		case <-ctx.Done():
			return w.ending(context.Cause(ctx))
		case <-l.ended:
			return w.m.notLeader()
		}
	}
}

func (w workerService) ending(cause error) error {
	if errors.Is(cause, errLeadershipLost) {
		return w.m.notLeader()
	}
	return status.Error(codes.Unavailable, cause.Error())
}
