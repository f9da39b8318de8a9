package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	// sessionQueue bounds what waits for a slow leader; past it the session is given up and the
	// outbox says everything again to the next one.
	sessionQueue   = 4096
	reconnectPause = 100 * time.Millisecond
	// welcomeTimeout bounds the wait for the first word of a leader.
	welcomeTimeout = 5 * time.Second
)

// session is one live stream to a leader, as the core sees it.
type session struct {
	epoch  uint64 // of the leadership
	out    chan *pb.WorkerMessage
	cancel context.CancelFunc
}

// send queues a message, or ends the session when the leader does not keep up.
func (s *session) send(m *pb.WorkerMessage) {
	select {
	case s.out <- m:
	default:
		s.cancel()
	}
}

// keepSession holds a session with whoever leads, until ctx ends.
func keepSession(ctx context.Context, f *leader.Finder, hello *pb.WorkerHello, inbox chan<- any,
	log zerolog.Logger,
) {
	for ctx.Err() == nil {
		conn, addr, err := f.Conn()
		if err == nil {
			err = holdSession(ctx, pb.NewWorkerServiceClient(conn), hello, inbox, log)
		}
		if ctx.Err() != nil {
			return
		}
		log.Debug().Err(err).Str("coordinator", addr).Msg("session ended")
		f.Failed(addr, err)
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// holdSession opens one stream and serves it until it breaks.
func holdSession(ctx context.Context, client pb.WorkerServiceClient, hello *pb.WorkerHello,
	inbox chan<- any, log zerolog.Logger,
) error {
	agent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Session(ctx)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	first := &pb.WorkerMessage{Message: &pb.WorkerMessage_Hello{Hello: hello}}
	if err := stream.Send(first); err != nil {
		_, err = stream.Recv() // the status says why
		return err
	}
	watchdog := time.AfterFunc(welcomeTimeout, cancel)
	m, err := stream.Recv()
	watchdog.Stop()
	if err != nil {
		return err
	}
	welcome := m.GetWelcome()
	if welcome == nil {
		return fmt.Errorf("open session: leader did not say welcome")
	}
	log.Info().Str("leader", welcome.GetLeader()).Msg("session open")
	lease := time.Duration(welcome.GetLeaseTtlMs()) * time.Millisecond
	s := &session{epoch: welcome.GetEpoch(), cancel: cancel,
		out: make(chan *pb.WorkerMessage, sessionQueue)}
	if !deliver(ctx, inbox, sessionUp{s}) {
		return ctx.Err()
	}
	defer deliver(agent, inbox, sessionDown{s})
	go sendLoop(ctx, cancel, stream, s.out, lease/4)
	// A leader that falls silent may be frozen or cut off: look for another before its successor
	// takes this worker for lost.
	silence := time.AfterFunc(max(lease, time.Second), cancel)
	defer silence.Stop()
	for {
		m, err := stream.Recv()
		silence.Reset(max(lease, time.Second))
		if err != nil {
			return err
		}
		if m.GetHeartbeat() != nil {
			continue
		}
		if !deliver(ctx, inbox, fromLeader{s, m}) {
			return ctx.Err()
		}
	}
}

func deliver(ctx context.Context, inbox chan<- any, m any) bool {
	select {
	case inbox <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// sendLoop is the only sender of a stream: queued messages, and heartbeats in between.
func sendLoop(ctx context.Context, cancel context.CancelFunc, stream pb.WorkerService_SessionClient,
	out <-chan *pb.WorkerMessage, every time.Duration,
) {
	defer cancel()
	beat := time.NewTicker(max(every, 50*time.Millisecond))
	defer beat.Stop()
	for seq := int64(0); ; {
		var m *pb.WorkerMessage
		select {
		case m = <-out:
		case <-beat.C:
			seq++
			m = &pb.WorkerMessage{Message: &pb.WorkerMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Seq: seq}}}
		case <-ctx.Done():
			return
		}
		if err := stream.Send(m); err != nil {
			return
		}
	}
}
