package client

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Cursor is a place in a run's history. The zero value is the beginning.
type Cursor struct{ Step, Event uint64 }

const watchPause = 200 * time.Millisecond

// Watch calls fn for every item after the cursor, each step once and in order, until the run is
// over (nil), fn fails, or ctx ends. It moves to another member when one dies; lost, when not nil,
// is told so once, however many members it has to try until items come again.
func (c *Client) Watch(ctx context.Context, run string, from Cursor, fn func(*pb.WatchItem) error,
	lost func(error),
) error {
	floor := from.Step // the caller never wants what is before
	told := false
	seen := newSeenEvents()
	item := func(i *pb.WatchItem) error {
		told = false
		return fn(i)
	}
	for {
		conn, addr, err := c.finder.Conn()
		if err == nil {
			err = watchOnce(ctx, conn, run, &from, floor, seen, item)
		}
		var stopped *fnError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stopped):
			return stopped.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !mayMove(err):
			return err
		}
		if lost != nil && !told {
			told = true
			lost(err)
		}
		c.finder.Failed(addr, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchPause):
		}
	}
}

// mayMove reports whether another member may serve the watch. A member that has just started may
// not have applied the run yet: NotFound is final only from a member that knows the log, so the
// caller looks the run up before it watches.
func mayMove(err error) bool {
	if leader.Retryable(err) {
		return true
	}
	switch status.Code(err) {
	case codes.NotFound, codes.Internal, codes.Unknown, codes.Canceled, codes.DeadlineExceeded:
		return true
	}
	return false
}

// seenEvents are the events that may come again when the connection is lost.
type seenEvents struct {
	// derived holds, by kind, the step of the newest event that follows from a step's record. It
	// comes before its step, so again when the connection was lost between the two.
	derived map[pb.EventKind]uint64
	// index is the newest one. One command may make several events of one index: kinds are those
	// that were seen, and a new connection asks for the index once more.
	index uint64
	kinds map[pb.EventKind]bool
	// moments holds, by kind, what was told last of what is so at the moment: every member that is
	// asked tells it anew.
	moments map[pb.EventKind]string
}

func newSeenEvents() *seenEvents {
	return &seenEvents{derived: map[pb.EventKind]uint64{}, kinds: map[pb.EventKind]bool{},
		moments: map[pb.EventKind]string{}}
}

// takesBack reports whether steps after the event's come again: after a resume, and in fast
// numerics after a new generation was made.
func takesBack(e *pb.Event) bool {
	return e.GetKind() == pb.EventKind_RUN_RESUMED || e.GetSupersedes() > 0
}

// before reports whether an event was seen, and notes that it is now.
func (s *seenEvents) before(e *pb.Event) bool {
	switch e.GetKind() {
	case pb.EventKind_CHECKPOINT_BACK:
		delete(s.moments, pb.EventKind_CHECKPOINT_LATE)
		return false
	case pb.EventKind_CHECKPOINT_LATE, pb.EventKind_WAITING:
		old := e.GetText() == s.moments[e.GetKind()]
		s.moments[e.GetKind()] = e.GetText()
		return old
	}
	if e.GetIndex() == 0 {
		old := e.GetStep() <= s.derived[e.GetKind()]
		s.derived[e.GetKind()] = max(e.GetStep(), s.derived[e.GetKind()])
		return old
	}
	if e.GetIndex() == s.index && s.kinds[e.GetKind()] {
		return true
	}
	if e.GetIndex() > s.index {
		s.index = e.GetIndex()
		delete(s.moments, pb.EventKind_WAITING)
		clear(s.kinds)
	}
	s.kinds[e.GetKind()] = e.GetIndex() == s.index || s.kinds[e.GetKind()]
	if takesBack(e) { // what follows from the steps that come again is new
		for kind, step := range s.derived {
			s.derived[kind] = min(step, e.GetStep())
		}
	}
	return false
}

// after is the event to go on behind.
func (s *seenEvents) after(at *Cursor) uint64 {
	if at.Event > 0 && at.Event == s.index {
		return at.Event - 1
	}
	return at.Event
}

type fnError struct{ err error }

func (e *fnError) Error() string { return e.err.Error() }

func watchOnce(ctx context.Context, conn *grpc.ClientConn, run string, at *Cursor, floor uint64,
	seen *seenEvents, fn func(*pb.WatchItem) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewRunServiceClient(conn).Watch(ctx,
		&pb.WatchRequest{Run: run, AfterStep: at.Step, AfterEvent: seen.after(at)})
	if err != nil {
		return err
	}
	for {
		item, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s := item.GetStep(); s != nil {
			if s.GetStep() <= at.Step {
				continue
			}
			at.Step = s.GetStep()
		}
		if e := item.GetEvent(); e != nil {
			if seen.before(e) {
				continue
			}
			at.Event = max(at.Event, e.GetIndex())
			if takesBack(e) {
				at.Step = max(floor, min(at.Step, e.GetStep()))
			}
		}
		if err := fn(item); err != nil {
			return &fnError{err}
		}
	}
}
