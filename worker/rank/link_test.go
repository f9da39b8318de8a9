package rank

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/internal/frame"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/worker/train"
)

const patience = 2 * time.Minute // a starved machine takes its time

// daemon is the worker's end of a rank's link.
type daemon struct {
	t    *testing.T
	conn net.Conn
}

func newDaemon(t *testing.T) (*daemon, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	must(t, ours.SetDeadline(time.Now().Add(patience)))
	return &daemon{t, ours}, theirs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) assign(a *pb.RankAssignment) {
	d.t.Helper()
	must(d.t, frame.Write(d.conn, &pb.ToRank{Message: &pb.ToRank_Assignment{Assignment: a}}))
}

func (d *daemon) report() *pb.RankReport {
	d.t.Helper()
	m := &pb.FromRank{}
	must(d.t, frame.Read(d.conn, m))
	if m.GetReport() == nil {
		d.t.Fatalf("want a report, got %v", m)
	}
	return m.GetReport()
}

// TestLatestAssignmentWins: a wait sees the newest assignment, however many came before it, and
// ends the moment one fits.
func TestLatestAssignmentWins(t *testing.T) {
	d, theirs := newDaemon(t)
	l := newLink(theirs)
	ended := make(chan error, 1)
	go l.receive(func(err error) { ended <- err })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.AwaitCommitted(ctx, 4) }()
	for step := range uint64(4) {
		d.assign(&pb.RankAssignment{CommittedStep: step})
		if l.StopRequested() {
			t.Fatal("nobody asked to stop")
		}
	}
	select {
	case err := <-done:
		t.Fatalf("step 4 is not committed yet, but: %v", err)
	default:
	}
	d.assign(&pb.RankAssignment{CommittedStep: 6, Stop: true})
	must(t, <-done)
	if !l.StopRequested() || l.InHurry() {
		t.Error("the stop was not seen, or taken for a user's")
	}
	d.assign(&pb.RankAssignment{CommittedStep: 6, Stop: true, Hurry: true})
	_, err := l.await(ctx, "a hurry", (*pb.RankAssignment).GetHurry)
	must(t, err)
	if !l.InHurry() {
		t.Error("the user's stop was not seen")
	}
	must(t, l.AwaitCommitted(ctx, 5)) // a later commit will do
	gone, lose := context.WithCancelCause(ctx)
	lose(errors.New("peer lost"))
	if err := l.AwaitCommitted(gone, 7); err == nil || !strings.Contains(err.Error(), "peer lost") ||
		!strings.Contains(err.Error(), "checkpoint 7") {
		t.Errorf("want what was waited for and why it ended, got %v", err)
	}
	must(t, d.conn.Close())
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("orphaned with %v", err)
	}
}

// TestI8_OrphanedRankEnds: the end of the socket is told at once, whatever the rank is doing.
func TestI8_OrphanedRankEnds(t *testing.T) {
	for name, last := range map[string][]byte{"between messages": nil, "amid one": {9, 0, 0, 0, 1}} {
		d, theirs := newDaemon(t)
		orphaned := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_ = Main(ctx, Config{Host: "127.0.0.1", Threads: 1, Log: zerolog.Nop()}, theirs,
				func(err error) { orphaned <- err })
		}()
		if last != nil {
			_, err := d.conn.Write(last)
			must(t, err)
		}
		must(t, d.conn.Close())
		select {
		case <-orphaned:
		case <-time.After(patience):
			t.Errorf("%s: the rank does not notice", name)
		}
		cancel()
	}
}

// TestMainReports: a rank says where it listens, and why it ends.
func TestMainReports(t *testing.T) {
	d, theirs := newDaemon(t)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		done <- Main(ctx, Config{Host: "127.0.0.1", Threads: 1, Log: zerolog.Nop()}, theirs,
			func(error) {})
	}()
	a := &pb.RankAssignment{Run: "r", Generation: 3, Rank: 1, World: 2, IsaClass: "generic",
		Resolved: &pb.ResolvedRun{Spec: &pb.RunSpec{}}}
	d.assign(a)
	r := d.report()
	if r.GetPhase() != pb.RankPhase_LISTENING || r.GetRun() != "r" || r.GetGeneration() != 3 ||
		r.GetRank() != 1 {
		t.Errorf("report says %v", r)
	}
	if _, _, err := net.SplitHostPort(r.GetAddress()); err != nil {
		t.Errorf("address %q: %v", r.GetAddress(), err)
	}
	cancel()
	dead := d.report()
	if dead.GetPhase() != pb.RankPhase_DEAD || dead.GetFailure() != pb.FailureClass_TRANSIENT ||
		!strings.Contains(dead.GetReason(), "addresses of all ranks") ||
		dead.GetAddress() != r.GetAddress() {
		t.Errorf("last report says %v", dead)
	}
	if err := <-done; err == nil {
		t.Error("a rank that failed ends without an error")
	}
}

// TestReportsWhileStepping: each report has all that is so, with a beat of its own; an upload that
// outlives its rank takes nothing back of the last word.
func TestReportsWhileStepping(t *testing.T) {
	d, theirs := newDaemon(t)
	r := &rank{link: newLink(theirs), cfg: Config{Log: zerolog.Nop()},
		assignment: &pb.RankAssignment{Run: "r", Generation: 2, Rank: 1}}
	for i, x := range []struct {
		does func()
		want *pb.RankReport
	}{
		{func() { r.Step(3) }, &pb.RankReport{Step: 3}},
		{func() { r.Unwritten(&pb.Unwritten{Step: 2}) },
			&pb.RankReport{Step: 3, Unwritten: &pb.Unwritten{Step: 2}}},
		{func() { r.Waiting([]string{"wiki"}) }, &pb.RankReport{Step: 3,
			Unwritten: &pb.Unwritten{Step: 2}, WaitingFor: []string{"wiki"}}},
		{func() { r.Step(4) }, &pb.RankReport{Step: 4, Unwritten: &pb.Unwritten{Step: 2}}},
		{func() { r.Unwritten(nil) }, &pb.RankReport{Step: 4}},
	} {
		x.want.Run, x.want.Generation, x.want.Rank = "r", 2, 1
		x.want.Phase, x.want.Beat = pb.RankPhase_STEPPING, uint64(i+1)
		go x.does()
		if got := d.report(); !proto.Equal(got, x.want) {
			t.Errorf("report %d is %v, want %v", i, got, x.want)
		}
	}
	r.ended = true
	go func() {
		r.Unwritten(&pb.Unwritten{Step: 4})
		must(t, r.report(&pb.RankReport{Phase: pb.RankPhase_DEAD}))
	}()
	if got := d.report(); got.GetPhase() != pb.RankPhase_DEAD {
		t.Errorf("after its end it says %v", got)
	}
}

// TestClassify: what another generation may mend, what no retry helps, and what another checkpoint
// helps.
func TestClassify(t *testing.T) {
	fatal, corrupt := pb.FailureClass_FATAL_INPUT, pb.FailureClass_CORRUPT_CHECKPOINT
	transient := pb.FailureClass_TRANSIENT
	for _, c := range []struct {
		err  error
		want pb.FailureClass
	}{
		{checkpoint.ErrCorrupt, corrupt},
		{errors.Join(checkpoint.ErrCorrupt, store.ErrNotFound), corrupt},
		{source.ErrInvalid, fatal},
		{source.ErrExhausted, fatal},
		{store.ErrChanged, fatal},
		{store.ErrDenied, fatal},
		{store.ErrNoBucket, fatal},
		{store.ErrNotFound, fatal},
		{store.ErrFull, fatal},
		{checkpoint.ErrWrite, fatal},
		{errors.Join(checkpoint.ErrWrite, store.ErrUnreachable), pb.FailureClass_STORAGE},
		{&train.RefusedUpdateError{}, fatal},
		{store.ErrUnreachable, pb.FailureClass_STORAGE},
		{context.DeadlineExceeded, transient},
		{io.EOF, transient},
		{errors.New("peer 1 closed the connection"), transient},
	} {
		for _, err := range []error{c.err, fmt.Errorf("restore: %w", c.err)} {
			if got := classify(err); got != c.want {
				t.Errorf("%v is %s, want %s", err, got, c.want)
			}
		}
	}
}

// TestNoAssignment: a link that ends before its first message.
func TestNoAssignment(t *testing.T) {
	l := newLink(struct {
		io.Reader
		io.Writer
	}{strings.NewReader(""), io.Discard})
	orphans := 0
	l.receive(func(error) { orphans++ })
	if orphans != 1 {
		t.Errorf("orphaned %d times", orphans)
	}
	if l.StopRequested() {
		t.Error("a stop without an assignment")
	}
}
