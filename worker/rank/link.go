package rank

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/banyan-train/banyan/internal/frame"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// link is the rank's end of the socket to its worker daemon.
type link struct {
	conn io.ReadWriter

	write sync.Mutex // one frame at a time

	mu      sync.Mutex
	latest  *pb.RankAssignment // newest assignment received
	changed chan struct{}      // closed and replaced at every new assignment
}

func newLink(conn io.ReadWriter) *link {
	return &link{conn: conn, changed: make(chan struct{})}
}

// receive reads assignments until the socket ends, then calls orphaned: the daemon is gone.
func (l *link) receive(orphaned func(error)) {
	for {
		var m pb.ToRank
		if err := frame.Read(l.conn, &m); err != nil {
			orphaned(err)
			return
		}
		if a := m.GetAssignment(); a != nil {
			l.mu.Lock()
			l.latest = a
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		}
	}
}

// await blocks until the newest assignment satisfies ok.
func (l *link) await(ctx context.Context, what string, ok func(*pb.RankAssignment) bool,
) (*pb.RankAssignment, error) {
	for {
		l.mu.Lock()
		a, changed := l.latest, l.changed
		l.mu.Unlock()
		if a != nil && ok(a) {
			return a, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

func (l *link) send(m *pb.FromRank) error {
	l.write.Lock()
	defer l.write.Unlock()
	return frame.Write(l.conn, m)
}

// StopRequested implements train.Control.
func (l *link) StopRequested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest.GetStop()
}

// InHurry implements train.Control.
func (l *link) InHurry() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest.GetHurry()
}

// AwaitCommitted implements train.Control.
func (l *link) AwaitCommitted(ctx context.Context, step uint64) error {
	_, err := l.await(ctx, fmt.Sprintf("the commit of checkpoint %d", step),
		func(a *pb.RankAssignment) bool { return a.GetCommittedStep() >= step })
	return err
}
