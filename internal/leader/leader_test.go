package leader

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func notLeader(t *testing.T, hint string) error {
	t.Helper()
	s, err := status.New(codes.FailedPrecondition, "c1 does not lead").
		WithDetails(&pb.NotLeader{LeaderAddress: hint})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

func TestHintAndRetryable(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		hint  string
		known bool
		retry bool
	}{
		{"points elsewhere", notLeader(t, "c2:1"), "c2:1", true, true},
		{"knows no leader", notLeader(t, ""), "", true, true},
		{"wrapped", fmt.Errorf("open: %w", notLeader(t, "c2:1")), "c2:1", true, true},
		{"gone", status.Error(codes.Unavailable, "x"), "", false, true},
		{"aborted", status.Error(codes.Aborted, "x"), "", false, true},
		{"refused", status.Error(codes.FailedPrecondition, "x"), "", false, false},
		{"bad input", status.Error(codes.InvalidArgument, "x"), "", false, false},
		{"not found", status.Error(codes.NotFound, "x"), "", false, false},
		{"no status", errors.New("x"), "", false, false},
		{"nothing", nil, "", false, false},
	} {
		if hint, ok := Hint(c.err); hint != c.hint || ok != c.known {
			t.Errorf("%s: hint %q, %v", c.name, hint, ok)
		}
		if got := Retryable(c.err); got != c.retry {
			t.Errorf("%s: retryable %v", c.name, got)
		}
	}
}

// TestFailed: hints are followed, the list is walked without, and old news changes nothing.
func TestFailed(t *testing.T) {
	f, err := New([]string{"c1:1", "c2:1", "c3:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gone := status.Error(codes.Unavailable, "gone")
	for i, step := range []struct {
		addr string
		err  error
		want string
	}{
		{"c1:1", gone, "c2:1"},
		{"c1:1", notLeader(t, "c3:1"), "c2:1"}, // somebody has moved on already
		{"c2:1", notLeader(t, ""), "c3:1"},
		{"c3:1", gone, "c1:1"},
		{"c1:1", notLeader(t, "c3:1"), "c3:1"},
		{"c3:1", notLeader(t, "c3:1"), "c1:1"}, // it names itself: walk on
		{"c1:1", notLeader(t, "new:1"), "new:1"},
		{"new:1", gone, "c1:1"}, // not in the list: from its start
		{"c1:1", nil, "c2:1"},
	} {
		f.Failed(step.addr, step.err)
		if _, got, err := f.Conn(); err != nil || got != step.want {
			t.Fatalf("step %d: asks %s next (%v), want %s", i, got, err, step.want)
		}
	}
}

func TestConnIsKept(t *testing.T) {
	f, err := New([]string{"c1:1", "c2:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, _, _ := f.Conn()
	f.Failed("c1:1", nil)
	b, _, _ := f.Conn()
	f.Failed("c2:1", nil)
	if again, _, _ := f.Conn(); again != a || a == b {
		t.Error("want one connection an address")
	}
	if _, err := New(nil); err == nil {
		t.Error("a finder of nothing is accepted")
	}
}

// member is a coordinator that answers Status, or an error.
type member struct {
	pb.UnimplementedClusterServiceServer
	name  string
	calls atomic.Int32
	err   func(call int32) error
}

func (m *member) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	if err := m.err(m.calls.Add(1)); err != nil {
		return nil, err
	}
	return &pb.StatusResponse{Member: m.name}, nil
}

func serve(t *testing.T, m *member) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterClusterServiceServer(s, m)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func ask(ctx context.Context, f *Finder) (name string, err error) {
	err = f.Do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		r, err := pb.NewClusterServiceClient(conn).Status(ctx, &pb.StatusRequest{})
		name = r.GetMember()
		return err
	})
	return name, err
}

// TestDo goes past a dead member and one that does not lead, through an election, to the leader,
// and stays with it.
func TestDo(t *testing.T) {
	leads := &member{name: "c3", err: func(call int32) error {
		if call == 1 {
			return notLeader(t, "") // just being elected
		}
		return nil
	}}
	leader := serve(t, leads)
	follows := &member{name: "c2", err: func(int32) error { return notLeader(t, leader) }}
	f, err := New([]string{"127.0.0.1:1", serve(t, follows), leader})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 2 {
		if name, err := ask(ctx, f); err != nil || name != "c3" {
			t.Fatalf("answered by %q, %v", name, err)
		}
	}
	before := follows.calls.Load()
	if _, err := ask(ctx, f); err != nil || follows.calls.Load() != before {
		t.Errorf("a known leader is looked for again (%v)", err)
	}
}

// TestDoEnds: a final error is answered at once, with its status; without a leader the call ends
// with its context and says who was asked last.
func TestDoEnds(t *testing.T) {
	refuses := &member{err: func(int32) error { return status.Error(codes.NotFound, "no run") }}
	f, err := New([]string{serve(t, refuses)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ask(t.Context(), f); status.Code(err) != codes.NotFound || refuses.calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, refuses.calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	nobody := &member{err: func(call int32) error {
		if call == 2 {
			cancel()
		}
		return notLeader(t, "")
	}}
	addr := serve(t, nobody)
	g, err := New([]string{addr})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := ask(ctx, g); err == nil || !errorNames(err, addr) {
		t.Errorf("want an error that names %s, got %v", addr, err)
	}
}

// errorNames reports whether the error says who was asked last. A call that was cut off by its
// context is answered as such.
func errorNames(err error, addr string) bool {
	return status.Code(err) == codes.Canceled || strings.Contains(err.Error(), addr)
}

// TestDoSaysWhyNobodyAnswered: time that runs out in the middle of a try hides no earlier reason;
// a call that somebody was busy with has no other reason.
func TestDoSaysWhyNobodyAnswered(t *testing.T) {
	refused := status.Error(codes.Unavailable, `connection error: desc = "transport: Error while `+
		`dialing: dial tcp c1:1: connect: connection refused"`)
	for name, c := range map[string]struct {
		first error
		want  string
	}{
		"refused": {refused, "no coordinator leads (last asked c1:1): dial tcp c1:1: connect: " +
			"connection refused; is the cluster up? `banyan up`"},
		"busy": {nil, "DeadlineExceeded"},
	} {
		synctest.Test(t, func(t *testing.T) { // no starved machine is late on a virtual clock
			f, err := New([]string{"c1:1"})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			err = f.Do(ctx, func(ctx context.Context, _ *grpc.ClientConn) error {
				if first := c.first; first != nil {
					c.first = nil
					return first
				}
				<-ctx.Done()
				return status.FromContextError(ctx.Err()).Err()
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		})
	}
}
