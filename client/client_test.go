package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// coordinator serves watches and runs as the test tells it.
type coordinator struct {
	pb.UnimplementedRunServiceServer
	watch func(q *pb.WatchRequest, send func(*pb.WatchItem)) error
	stop  func(q *pb.StopRequest) error

	mu    sync.Mutex
	asked []string // cursors of the watches
	ids   []string // request ids of the stops
}

func (c *coordinator) Watch(q *pb.WatchRequest, stream pb.RunService_WatchServer) error {
	c.mu.Lock()
	c.asked = append(c.asked, fmt.Sprintf("%d/%d", q.GetAfterStep(), q.GetAfterEvent()))
	c.mu.Unlock()
	return c.watch(q, func(item *pb.WatchItem) { _ = stream.Send(item) })
}

func (c *coordinator) Stop(_ context.Context, q *pb.StopRequest) (*pb.StopResponse, error) {
	c.ids = append(c.ids, q.GetRequestId())
	return &pb.StopResponse{}, c.stop(q)
}

func serve(t *testing.T, c *coordinator) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterRunServiceServer(s, c)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func connect(t *testing.T, addrs ...string) *Client {
	t.Helper()
	c, err := New(addrs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func step(n uint64) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Step{Step: &pb.StepRecord{Step: n}}}
}

func event(kind pb.EventKind, index, at uint64) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Event{
		Event: &pb.Event{Kind: kind, Index: index, Step: at}}}
}

// collect is a callback that writes items as "1 2 REWIND@5".
func collect(into *[]string) func(*pb.WatchItem) error {
	return func(item *pb.WatchItem) error {
		if s := item.GetStep(); s != nil {
			*into = append(*into, fmt.Sprint(s.GetStep()))
		}
		if e := item.GetEvent(); e != nil {
			*into = append(*into, fmt.Sprintf("%s@%d", e.GetKind(), e.GetIndex()))
		}
		return nil
	}
}

func expect(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s: got %q, want %q", what, s, want)
	}
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestI11_WatchSurvivesMembers: members die, lose their leadership, repeat themselves and do not
// know the run yet; each step comes once and in order, from the cursor on.
func TestI11_WatchSurvivesMembers(t *testing.T) {
	calls := 0
	c := &coordinator{}
	c.watch = func(q *pb.WatchRequest, send func(*pb.WatchItem)) error {
		calls++
		switch calls {
		case 1:
			send(step(1)) // before the cursor
			send(step(3))
			send(event(pb.EventKind_CHECKPOINT_COMMITTED, 7, 3))
			send(step(4))
			return status.Error(codes.Unavailable, "dies")
		case 2:
			return status.Error(codes.NotFound, "has not applied the run yet")
		case 3:
			send(step(3))
			send(step(4))
			send(step(5))
			return status.Error(codes.Internal, "stream reset")
		default:
			send(step(6))
			return nil
		}
	}
	var got []string
	lost := 0
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{Step: 2, Event: 5}, collect(&got),
		func(error) { lost++ })
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got, "3 CHECKPOINT_COMMITTED@7 4 5 6")
	expect(t, "cursors", c.asked, "2/5 4/6 4/6 5/6")
	if lost != 2 {
		t.Errorf("told %d times that the connection is lost, want once for each time items came", lost)
	}
}

// TestI11_ResumeMovesTheCursorBack: after a resume, the steps past it are new ones.
func TestI11_ResumeMovesTheCursorBack(t *testing.T) {
	c := &coordinator{}
	c.watch = func(q *pb.WatchRequest, send func(*pb.WatchItem)) error {
		if q.GetAfterStep() == 0 {
			for n := range uint64(5) {
				send(step(n + 1))
			}
			send(event(pb.EventKind_RUN_RESUMED, 9, 3))
			send(step(4))
			return status.Error(codes.Unavailable, "dies")
		}
		send(step(5))
		return nil
	}
	var got []string
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{}, collect(&got), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got, "1 2 3 4 5 RUN_RESUMED@9 4 5")
	expect(t, "cursors", c.asked, "0/0 4/8")
}

// TestI11_DerivedEventsComeOnce: an event that follows from a step comes before it, and again when
// the connection is lost between the two; a resume makes the step, and its event, new.
func TestI11_DerivedEventsComeOnce(t *testing.T) {
	skipped := func(at uint64) *pb.WatchItem { return event(pb.EventKind_UPDATE_SKIPPED, 0, at) }
	calls := 0
	c := &coordinator{}
	c.watch = func(q *pb.WatchRequest, send func(*pb.WatchItem)) error {
		calls++
		if calls == 1 {
			send(step(1))
			send(skipped(2))
			return status.Error(codes.Unavailable, "dies")
		}
		send(skipped(2))
		send(event(pb.EventKind_GUARD_ALARM, 0, 2))
		send(step(2))
		send(event(pb.EventKind_RUN_RESUMED, 9, 1))
		send(skipped(2))
		send(step(2))
		return nil
	}
	var got []string
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{}, collect(&got), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got,
		"1 UPDATE_SKIPPED@0 GUARD_ALARM@0 2 RUN_RESUMED@9 UPDATE_SKIPPED@0 2")
}

// TestI11_EventsOfOneIndexComeOnce: the connection is lost between two events of one command, the
// second of which takes steps back.
func TestI11_EventsOfOneIndexComeOnce(t *testing.T) {
	assigned := event(pb.EventKind_GENERATION_ASSIGNED, 6, 1)
	assigned.GetEvent().Supersedes = 1
	c := &coordinator{}
	c.watch = func(q *pb.WatchRequest, send func(*pb.WatchItem)) error {
		if q.GetAfterStep() == 0 {
			send(step(1))
			send(step(2))
			send(event(pb.EventKind_REWIND, 6, 1))
			return status.Error(codes.Unavailable, "dies")
		}
		send(event(pb.EventKind_REWIND, 6, 1))
		send(assigned)
		send(step(2))
		return nil
	}
	var got []string
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{}, collect(&got), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got, "1 2 REWIND@6 GENERATION_ASSIGNED@6 2")
	expect(t, "cursors", c.asked, "0/0 2/5")
}

// TestWatchTellsAWaitOnce: every member tells why the run waits anew; the caller hears it when it
// changes, and again after the run was placed in between.
func TestWatchTellsAWaitOnce(t *testing.T) {
	waits := func(why string) *pb.WatchItem {
		return &pb.WatchItem{Item: &pb.WatchItem_Event{
			Event: &pb.Event{Kind: pb.EventKind_WAITING, Text: why}}}
	}
	calls := 0
	c := &coordinator{}
	c.watch = func(_ *pb.WatchRequest, send func(*pb.WatchItem)) error {
		calls++
		send(event(pb.EventKind_RUN_LAUNCHED, 5, 0))
		send(waits("r1 has it"))
		if calls == 1 {
			return status.Error(codes.Unavailable, "dies")
		}
		send(waits("r2 has it"))
		send(event(pb.EventKind_GENERATION_ASSIGNED, 6, 0))
		send(waits("r2 has it"))
		return nil
	}
	var got []string
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{}, collect(&got), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got, "RUN_LAUNCHED@5 WAITING@0 WAITING@0 GENERATION_ASSIGNED@6 WAITING@0")
}

// TestWatchTellsALateCheckpointOnce: a new connection tells it anew; the caller hears it when it
// changes, when it is over, and when it comes again, the same step or not.
func TestWatchTellsALateCheckpointOnce(t *testing.T) {
	moment := func(kind pb.EventKind, text string) *pb.WatchItem {
		return &pb.WatchItem{Item: &pb.WatchItem_Event{Event: &pb.Event{Kind: kind, Text: text, Step: 4}}}
	}
	late, back := pb.EventKind_CHECKPOINT_LATE, pb.EventKind_CHECKPOINT_BACK
	calls := 0
	c := &coordinator{}
	c.watch = func(_ *pb.WatchRequest, send func(*pb.WatchItem)) error {
		calls++
		send(moment(late, "full"))
		if calls == 1 {
			return status.Error(codes.Unavailable, "dies")
		}
		send(moment(late, "full; training waits"))
		send(moment(back, "written"))
		send(moment(late, "full"))
		return nil
	}
	var got []string
	err := connect(t, serve(t, c)).Watch(limited(t), "r", Cursor{}, collect(&got), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "items", got, "CHECKPOINT_LATE@0 CHECKPOINT_LATE@0 CHECKPOINT_BACK@0 CHECKPOINT_LATE@0")
}

// TestWatchEnds: with a final answer, with the callback's error as it is, with the context.
func TestWatchEnds(t *testing.T) {
	refuses := &coordinator{watch: func(*pb.WatchRequest, func(*pb.WatchItem)) error {
		return status.Error(codes.InvalidArgument, "2 runs are named r")
	}}
	err := connect(t, serve(t, refuses)).Watch(limited(t), "r", Cursor{}, collect(new([]string)), nil)
	if status.Code(err) != codes.InvalidArgument || len(refuses.asked) != 1 {
		t.Errorf("%v after %d calls", err, len(refuses.asked))
	}
	steps := &coordinator{watch: func(_ *pb.WatchRequest, send func(*pb.WatchItem)) error {
		send(step(1))
		return status.Error(codes.Unavailable, "dies")
	}}
	mine := errors.New("my disk is full")
	err = connect(t, serve(t, steps)).Watch(limited(t), "r", Cursor{},
		func(*pb.WatchItem) error { return mine }, nil)
	if err != mine || len(steps.asked) != 1 {
		t.Errorf("want the callback's error, got %v after %d calls", err, len(steps.asked))
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	err = connect(t, serve(t, steps)).Watch(ctx, "r", Cursor{}, collect(new([]string)),
		func(error) { cancel(enough) })
	if !errors.Is(err, enough) {
		t.Errorf("want the cause of the context's end, got %v", err)
	}
}

// TestI5_RetriesKeepTheirRequestID: a call whose outcome is unknown is repeated under the same id;
// another call has another.
func TestI5_RetriesKeepTheirRequestID(t *testing.T) {
	c := &coordinator{}
	c.stop = func(*pb.StopRequest) error {
		if len(c.ids) < 3 {
			return status.Error(codes.Unavailable, "outcome unknown")
		}
		return nil
	}
	client := connect(t, serve(t, c))
	for range 2 {
		if err := client.Stop(limited(t), "r"); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.ids) != 4 || c.ids[0] == "" || c.ids[1] != c.ids[0] || c.ids[2] != c.ids[0] ||
		c.ids[3] == c.ids[0] {
		t.Errorf("request ids: %v", c.ids)
	}
}

func TestAddresses(t *testing.T) {
	t.Setenv("BANYAN_ADDR", "")
	for _, c := range []struct {
		list, env string
		want      []string
	}{
		{"", "", []string{DefaultAddress}},
		{"a:1", "b:1", []string{"a:1"}},
		{"", "b:1, c:1", []string{"b:1", "c:1"}},
		{" a:1 ,, ", "", []string{"a:1"}},
		{",", "", []string{DefaultAddress}},
	} {
		t.Setenv("BANYAN_ADDR", c.env)
		if got := Addresses(c.list); !slices.Equal(got, c.want) {
			t.Errorf("%q and %q give %v", c.list, c.env, got)
		}
	}
}
