package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/coordinator/consensus"
	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %s (%v), want %s", what, got, err, want)
	}
}

// TestI7_ReadsVerifyTheLeadership: what a deposed leader read is not answered.
func TestI7_ReadsVerifyTheLeadership(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		runs, cluster := runService{m: th.member}, clusterService{m: th.member}
		reads := map[string]func() error{
			"get": func() error {
				_, err := runs.GetRun(t.Context(), &pb.GetRunRequest{Run: "r1"})
				return err
			},
			"list": func() error { _, err := runs.ListRuns(t.Context(), nil); return err },
			"workers": func() error {
				_, err := cluster.ListWorkers(t.Context(), nil)
				return err
			},
		}
		for name, read := range reads {
			must(t, read())
			th.group.verifyErr = consensus.ErrNotLeader
			if _, ok := leader.Hint(read()); !ok {
				t.Errorf("%s: answered by a deposed leader", name)
			}
			th.group.verifyErr = nil
		}
	})
}

// TestI5_UserCommands: the same request id is one stop; refusals and unknown outcomes have codes
// that say whether to retry.
func TestI5_UserCommands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		runs := runService{m: th.member}
		stop := func(id, run string) error {
			_, err := runs.Stop(t.Context(), &pb.StopRequest{RequestId: id, Run: run})
			return err
		}
		wantCode(t, "no such run", stop("a", "nothing"), codes.NotFound)
		th.group.fail(consensus.ErrUnknownOutcome)
		err := stop("b", "r1")
		wantCode(t, "unknown outcome", err, codes.Unavailable)
		if !leader.Retryable(err) {
			t.Error("an unknown outcome is not retried")
		}
		th.group.fail(consensus.ErrNotLeader)
		if _, ok := leader.Hint(stop("b", "r1")); !ok {
			t.Error("a lost leadership does not point elsewhere")
		}
		th.group.fail(nil)
		must(t, stop("b", "tiny"))
		must(t, stop("b", "r1"))
		_, err = runs.Resume(t.Context(), &pb.ResumeRequest{RequestId: "c", Run: "r1"})
		wantCode(t, "resume of a running run", err, codes.FailedPrecondition)
		_, err = runs.Resume(t.Context(), &pb.ResumeRequest{RequestId: "d", Run: "r1",
			Set: []string{"train.nothing=1"}})
		wantCode(t, "edit of nothing", err, codes.InvalidArgument)
		_, err = runs.Launch(t.Context(), &pb.LaunchRequest{})
		wantCode(t, "launch without id", err, codes.InvalidArgument)
		_, err = runs.Launch(t.Context(), &pb.LaunchRequest{RequestId: "e", Spec: &pb.RunSpec{}})
		wantCode(t, "launch of nothing", err, codes.InvalidArgument)
		th.play("launch r2 steps=4 workers=1..1 keep=3\n")
		wantCode(t, "a name of two runs", stop("f", "tiny"), codes.InvalidArgument)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release := make(chan struct{})
		th.lead.post(query{func() { <-release }}) // nobody answers meanwhile
		if _, err := th.lead.ask(ctx, &pb.Command{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call: %v", err)
		}
		close(release)
	})
}

// TestI5_Drain: the same request id is one drain, whatever came in between.
func TestI5_Drain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		cluster := clusterService{m: th.member}
		drain := func(id, worker string, back bool) error {
			_, err := cluster.DrainWorker(t.Context(),
				&pb.DrainWorkerRequest{RequestId: id, Worker: worker, Back: back})
			return err
		}
		drained := func() bool {
			list, err := cluster.ListWorkers(t.Context(), nil)
			must(t, err)
			return list.GetWorkers()[0].GetDrained()
		}
		wantCode(t, "drain without id", drain("", "w1", false), codes.InvalidArgument)
		wantCode(t, "no such worker", drain("a", "w9", false), codes.NotFound)
		must(t, drain("b", "w1", false))
		if !drained() {
			t.Error("w1 is not drained")
		}
		must(t, drain("c", "w1", true))
		must(t, drain("b", "w1", false)) // a retry that comes late
		if drained() {
			t.Error("w1 is drained by a request that was applied before")
		}
		th.group.fail(consensus.ErrUnknownOutcome)
		wantCode(t, "unknown outcome", drain("d", "w1", false), codes.Unavailable)
	})
}

// TestStatusAndWorkers: any member says who leads; the leader knows the workers.
func TestStatusAndWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank + "worker w2\nwait 1s silent=w1\nclose w2\n")
		cluster := clusterService{m: th.member}
		list, err := cluster.ListWorkers(t.Context(), nil)
		must(t, err)
		w1, w2 := list.GetWorkers()[0], list.GetWorkers()[1]
		if !w1.GetLive() || w1.GetSinceHeartbeatMs() < 1000 || w1.GetAddress() != "w1" ||
			!slices.Equal(w1.GetServing(), []string{"r1/1/0"}) {
			t.Errorf("w1: %v", w1)
		}
		if w2.GetLive() || len(w2.GetServing()) > 0 || w2.GetInfo().GetId() != "w2" {
			t.Errorf("w2: %v", w2)
		}
		th.play("close w1\n")
		list, err = cluster.ListWorkers(t.Context(), nil)
		must(t, err)
		if w1 := list.GetWorkers()[0]; w1.GetLive() || len(w1.GetServing()) > 0 {
			t.Errorf("a lost worker: %v", w1)
		}
		st, err := cluster.Status(t.Context(), nil)
		must(t, err)
		if !st.GetLeader() || st.GetMember() != "c1" || st.GetLeaderAddress() != "c1:1" ||
			len(st.GetMembers()) != 3 || st.GetAppliedIndex() == 0 {
			t.Errorf("status: %v", st)
		}
		th.member.setLead(nil)
		th.group.leader = "c2"
		st, err = cluster.Status(t.Context(), nil)
		must(t, err)
		if st.GetLeader() || st.GetLeaderAddress() != "c2:1" {
			t.Errorf("status of a follower: %v", st)
		}
		if hint, _ := leader.Hint(th.workersError(t)); hint != "c2:1" {
			t.Errorf("a follower's workers point at %q", hint)
		}
	})
}

func (th *theatre) workersError(t *testing.T) error {
	_, err := clusterService{m: th.member}.ListWorkers(t.Context(), nil)
	return err
}

// wire is a worker's stream as the session service sees it.
type wire struct {
	grpc.ServerStream
	ctx context.Context
	in  chan *pb.WorkerMessage
	out chan *pb.CoordinatorMessage
}

func (w *wire) Context() context.Context { return w.ctx }

func (w *wire) Send(m *pb.CoordinatorMessage) error {
	select {
	case w.out <- m:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

func (w *wire) Recv() (*pb.WorkerMessage, error) {
	select {
	case m, ok := <-w.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	}
}

func (th *theatre) wire(t *testing.T, worker string) (*wire, <-chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &wire{ctx: ctx, in: make(chan *pb.WorkerMessage, 10),
		out: make(chan *pb.CoordinatorMessage, 10)}
	w.in <- &pb.WorkerMessage{Message: &pb.WorkerMessage_Hello{Hello: &pb.WorkerHello{
		Host: "h", Info: &pb.WorkerInfo{Id: worker, Devices: 1, IsaClasses: []string{"avx2"}}}}}
	done := make(chan error, 1)
	go func() {
		err := workerService{m: th.member}.Session(w)
		cancel() // as gRPC does when the handler returns
		done <- err
	}()
	synctest.Wait()
	return w, done
}

// TestSession: hello, welcome with the lease, Desired; it ends with the worker, with a newer
// session, and with the leadership.
func TestSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		w, done := th.wire(t, "w1")
		welcome := (<-w.out).GetWelcome()
		if welcome.GetLeaseTtlMs() != DefaultLeaseTTL.Milliseconds() || welcome.GetLeader() != "c1" {
			t.Errorf("welcome says %v", welcome)
		}
		if (<-w.out).GetDesired() == nil {
			t.Error("a new session is not told its ranks")
		}
		_, newer := th.wire(t, "w1")
		wantCode(t, "replaced", <-done, codes.Unavailable)
		th.group.leader = "c3"
		th.lead.stop()
		if hint, _ := leader.Hint(<-newer); hint != "c3:1" {
			t.Errorf("a lost leadership points at %q", hint)
		}
		th.member.setLead(nil)
		_, done = th.wire(t, "w1")
		if hint, _ := leader.Hint(<-done); hint != "c3:1" {
			t.Errorf("a follower points at %q", hint)
		}
	})
}

func TestSessionNeedsAName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		_, done := th.wire(t, "")
		wantCode(t, "no name", <-done, codes.InvalidArgument)
		w, done := th.wire(t, "w1")
		close(w.in)
		select {
		case err := <-done:
			wantCode(t, "worker left", err, codes.Unavailable)
		case <-time.After(time.Minute):
			t.Error("the session of a worker that left goes on")
		}
		synctest.Wait()
		if w := th.workers(t)[0]; w.GetLive() {
			t.Error("a worker that left is live")
		}
	})
}

func (th *theatre) workers(t *testing.T) []*pb.WorkerStatus {
	list, err := clusterService{m: th.member}.ListWorkers(t.Context(), nil)
	must(t, err)
	return list.GetWorkers()
}

// TestSlowWorker: a worker that does not read loses its session, and holds nobody up.
func TestSlowWorker(t *testing.T) {
	var cause error
	s := &session{out: make(chan *pb.CoordinatorMessage, 2), stop: func(err error) { cause = err }}
	for range 2 {
		s.sendAck(&pb.RecordsAck{})
	}
	if cause != nil {
		t.Fatal("ended with room left")
	}
	s.desire(&pb.Desired{})
	if cause == nil {
		t.Error("a worker that does not keep up keeps its session")
	}
}
