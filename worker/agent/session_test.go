package agent

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// fakeLeader serves sessions and hands each to the test.
type fakeLeader struct {
	pb.UnimplementedWorkerServiceServer
	t         *testing.T
	address   string
	elsewhere string // answered by a member that does not lead
	leaseMs   atomic.Int64
	sessions  chan *served
}

// served is the leader's end of one session.
type served struct {
	stream pb.WorkerService_SessionServer
	hello  *pb.WorkerHello
	end    chan error
	heard  chan *pb.WorkerMessage // closed when the worker has left
}

func serveLeader(t *testing.T, elsewhere string) *fakeLeader {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeLeader{t: t, address: l.Addr().String(), elsewhere: elsewhere,
		sessions: make(chan *served, 10)}
	f.leaseMs.Store(time.Hour.Milliseconds()) // this leader beats not, and shall not be left for it
	server := grpc.NewServer()
	pb.RegisterWorkerServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return f
}

func (f *fakeLeader) Session(stream pb.WorkerService_SessionServer) error {
	if f.elsewhere != "" {
		s, err := status.New(codes.FailedPrecondition, "not me").
			WithDetails(&pb.NotLeader{LeaderAddress: f.elsewhere})
		if err != nil {
			return err
		}
		return s.Err()
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s := &served{stream: stream, hello: first.GetHello(), end: make(chan error, 1),
		heard: make(chan *pb.WorkerMessage, 100)}
	welcome := &pb.Welcome{LeaseTtlMs: f.leaseMs.Load(), Leader: "c1"}
	if err := stream.Send(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_Welcome{
		Welcome: welcome}}); err != nil {
		return err
	}
	f.sessions <- s
	go func() {
		defer close(s.heard)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			s.heard <- m
		}
	}()
	select {
	case err := <-s.end:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

func (f *fakeLeader) session() *served {
	f.t.Helper()
	select {
	case s := <-f.sessions:
		return s
	case <-time.After(testkit.Patience):
		f.t.Fatal("no worker opens a session")
		return nil
	}
}

// hears waits for messages, heartbeats apart.
func (s *served) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		got := ""
		for end := time.After(testkit.Patience); got == ""; {
			select {
			case m, open := <-s.heard:
				if !open {
					t.Fatalf("the worker left before it said %q", w)
				}
				got = said([]*pb.WorkerMessage{m})
			case <-end:
				t.Fatalf("the leader did not hear %q", w)
			}
		}
		expect(t, "the leader hears", got, w)
	}
}

// TestSessions runs a whole agent: it follows a hint to the leader, says hello, beats, and says
// everything again when the session breaks. It leaves a leader that is silent for longer than a
// lease. When it ends, so do its ranks.
func TestSessions(t *testing.T) {
	d := openDoor(t)
	real := serveLeader(t, "")
	other := serveLeader(t, real.address)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{ID: "w7", Host: "h", Devices: 3, Coordinators: []string{other.address},
			Dir: t.TempDir(), Executable: self, Version: "v", Log: zerolog.Nop()})
	}()
	s := real.session()
	if i := s.hello.GetInfo(); i.GetId() != "w7" || i.GetDevices() != 3 || i.GetVersion() != "v" ||
		len(i.GetIsaClasses()) == 0 || s.hello.GetHost() != "h" {
		t.Errorf("hello says %v", s.hello)
	}
	s.hears(t, "inventory")
	if err := s.stream.Send(desired(assignment(key{"hang", 1, 0}, 0))); err != nil {
		t.Fatal(err)
	}
	d.await("hang/1/0 up")
	s.hears(t, "rank hang/1/0=STARTING", "rank hang/1/0=LISTENING")
	s.end <- status.Error(codes.Unavailable, "leadership lost")
	s = real.session()
	s.hears(t, "inventory hang/1/0=LISTENING")
	d.quiet()
	real.leaseMs.Store(400)
	s.end <- status.Error(codes.Unavailable, "leadership lost")
	beats := 0
	for beats == 0 { // starved, the worker may take such a leader for a silent one too early
		for m := range real.session().heard { // and in the end it must
			if m.GetHeartbeat().GetSeq() > 0 {
				beats++
			}
		}
	}
	cancel()
	d.dies("hang/1/0")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testkit.Patience):
		t.Error("the agent does not end")
	}
}

// TestSlowLeader: a session whose queue is full ends; the agent never waits for it.
func TestSlowLeader(t *testing.T) {
	ended := false
	s := &session{out: make(chan *pb.WorkerMessage, 1), cancel: func() { ended = true }}
	s.send(&pb.WorkerMessage{})
	if ended {
		t.Fatal("ended with room left")
	}
	s.send(&pb.WorkerMessage{})
	if !ended {
		t.Error("a leader that does not keep up keeps its session")
	}
}

func TestConfig(t *testing.T) {
	c := Config{ID: "w", Dir: t.TempDir()}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Host == "" || c.Devices != 1 || c.Threads < 1 || c.Executable == "" {
		t.Errorf("defaults: %+v", c)
	}
	if err := (&Config{Dir: t.TempDir()}).Validate(); err == nil {
		t.Error("a worker without an id is accepted")
	}
	if err := (&Config{ID: "w", Dir: "/dev/null/x"}).Validate(); err == nil {
		t.Error("a worker without a log folder is accepted")
	}
	if err := Run(t.Context(), Config{ID: "w", Dir: t.TempDir()}); err == nil {
		t.Error("a worker without coordinators is accepted")
	}
}

func TestTailWriter(t *testing.T) {
	w := &tailWriter{}
	expect(t, "nothing", w.lastLine(), "")
	for range 3 * tailBytes {
		_, _ = w.Write([]byte("x\n"))
	}
	_, _ = w.Write([]byte("the end\n\n"))
	expect(t, "last line", w.lastLine(), "the end")
	if len(w.buf) > tailBytes {
		t.Errorf("%d bytes are kept", len(w.buf))
	}
}
