package rank

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/train"
)

// Config is what the daemon tells a rank process on its command line.
type Config struct {
	Host    string // address peers reach this rank at
	Threads int    // kernel threads
	Log     zerolog.Logger
}

const (
	assignmentTimeout = 30 * time.Second
	// rendezvousTimeout bounds waiting for all ranks of a generation to listen and connect.
	rendezvousTimeout = 2 * time.Minute
	// operationTimeout is how long a collective may make no progress before its group aborts. A
	// peer may be in the middle of a long step; a dead one is noticed by its closed socket at once.
	operationTimeout = 2 * time.Minute
)

// Main runs the rank over conn until it is done or failed. orphaned is called, from another
// goroutine, when the daemon is gone; it must end the process.
func Main(ctx context.Context, cfg Config, conn io.ReadWriter, orphaned func(error)) error {
	l := newLink(conn)
	go l.receive(orphaned)
	r := &rank{cfg: cfg, link: l}
	err := r.run(ctx)
	r.mu.Lock()
	r.ended = true
	report := &pb.RankReport{Phase: pb.RankPhase_DONE, Step: r.step, Reason: r.stopped}
	r.mu.Unlock()
	if err != nil {
		report.Phase, report.Reason, report.Failure = pb.RankPhase_DEAD, err.Error(), classify(err)
		if refused := (*train.RefusedUpdateError)(nil); errors.As(err, &refused) && refused.Rewind {
			report.Spike = refused.Step
		}
	}
	err = errors.Join(err, r.report(report))
	if r.group != nil {
		// After the report: peers die of the abort, and their word must not come before the cause.
		r.group.Abort(errors.New("rank has ended"))
	}
	return err
}

// rank is the state of the process. It implements train.Sink.
type rank struct {
	cfg        Config
	link       *link
	assignment *pb.RankAssignment
	group      collective.Group // nil until joined
	address    string           // where peers reach this rank; in every report, for a new leader
	stopped    string           // why the run ends before its last step

	mu        sync.Mutex // of what follows, and of the order in which it is told
	step      uint64
	beat      uint64        // of all that is told while it steps
	waiting   []string      // sources whose data is late
	unwritten *pb.Unwritten // the checkpoint that is late
	ended     bool          // the last word is near: an upload that goes on has no more to say
}

func (r *rank) run(ctx context.Context) error {
	begin, cancel := context.WithTimeout(ctx, assignmentTimeout)
	defer cancel()
	a, err := r.link.await(begin, "an assignment", func(*pb.RankAssignment) bool { return true })
	if err != nil {
		return err
	}
	r.assignment = a
	log := r.cfg.Log.With().Str("run", a.GetRun()).Uint64("generation", a.GetGeneration()).
		Uint32("rank", a.GetRank()).Logger()
	group, err := r.rendezvous(ctx, log)
	if err != nil {
		return err
	}
	r.group = group
	opener, err := router.New(a.GetResolved().GetSpec().GetStores())
	if err != nil {
		return err
	}
	backend, err := cpu.New(cpu.Options{Threads: r.cfg.Threads, ISA: r.assignment.GetIsaClass()})
	if err != nil {
		return err
	}
	defer backend.Close()
	err = train.Run(ctx, train.Config{Assignment: r.assignment, Group: group, Backend: backend,
		Opener: opener, Sink: r, Control: r.link, Log: log})
	if err != nil {
		return err
	}
	return group.Close()
}

// rendezvous listens, tells the coordinator where, learns the peers' addresses and connects.
func (r *rank) rendezvous(ctx context.Context, log zerolog.Logger) (collective.Group, error) {
	ctx, cancel := context.WithTimeout(ctx, rendezvousTimeout)
	defer cancel()
	listener, err := tcp.Listen(r.cfg.Host)
	if err != nil {
		return nil, err
	}
	r.address = listener.Addr()
	if err := r.report(&pb.RankReport{Phase: pb.RankPhase_LISTENING}); err != nil {
		return nil, err
	}
	a, err := r.link.await(ctx, "the addresses of all ranks", func(a *pb.RankAssignment) bool {
		return len(a.GetPeers()) == int(a.GetWorld())
	})
	if err != nil {
		return nil, err
	}
	r.assignment = a
	return listener.Join(ctx, tcp.Config{Run: a.GetRun(), Generation: a.GetGeneration(),
		Rank: collective.Rank(a.GetRank()), Peers: a.GetPeers(), OpTimeout: operationTimeout,
		Logger: log})
}

func (r *rank) report(p *pb.RankReport) error {
	a := r.assignment
	p.Run, p.Generation, p.Rank = a.GetRun(), a.GetGeneration(), a.GetRank()
	p.Address = r.address
	return r.link.send(&pb.FromRank{Message: &pb.FromRank_Report{Report: p}})
}

// Step implements train.Sink.
func (r *rank) Step(step uint64) {
	r.stepping(func() { r.step, r.waiting = step, nil })
}

// Waiting implements train.Sink. Step's next report ends it too.
func (r *rank) Waiting(sources []string) {
	r.stepping(func() { r.waiting = sources })
}

// Unwritten implements train.Sink.
func (r *rank) Unwritten(late *pb.Unwritten) {
	r.stepping(func() { r.unwritten = late })
}

// stepping makes a change and tells all that is so after it.
func (r *rank) stepping(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	change()
	r.beat++
	r.must(r.report(&pb.RankReport{Phase: pb.RankPhase_STEPPING, Step: r.step, Beat: r.beat,
		WaitingFor: r.waiting, Unwritten: r.unwritten}))
}

// Stopped implements train.Sink.
func (r *rank) Stopped(why string) { r.stopped = why }

// Record implements train.Sink.
func (r *rank) Record(rec *pb.StepRecord) {
	r.must(r.link.send(&pb.FromRank{Message: &pb.FromRank_Record{Record: rec}}))
}

// Shard implements train.Sink.
func (r *rank) Shard(s *pb.ShardReport) {
	r.must(r.link.send(&pb.FromRank{Message: &pb.FromRank_Shard{Shard: s}}))
}

// must handles a failed write to the daemon: the reader sees the same end of the socket and calls
// orphaned, so there is nothing left to do but say so.
func (r *rank) must(err error) {
	if err != nil {
		r.cfg.Log.Warn().Err(err).Msg("daemon does not listen")
	}
}

// classify says what the coordinator may do about a failure.
func classify(err error) pb.FailureClass {
	var refused *train.RefusedUpdateError
	switch {
	case errors.Is(err, checkpoint.ErrCorrupt):
		return pb.FailureClass_CORRUPT_CHECKPOINT
	case errors.Is(err, checkpoint.ErrWrite) && !errors.Is(err, store.ErrUnreachable):
		return pb.FailureClass_FATAL_INPUT
	case errors.As(err, &refused) && refused.Rewind:
		return pb.FailureClass_SPIKE
	case refused != nil,
		errors.Is(err, source.ErrInvalid), errors.Is(err, source.ErrExhausted),
		errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrDenied),
		errors.Is(err, store.ErrNoBucket), errors.Is(err, store.ErrNotFound),
		errors.Is(err, store.ErrFull):
		return pb.FailureClass_FATAL_INPUT
	case errors.Is(err, store.ErrUnreachable):
		return pb.FailureClass_STORAGE
	}
	return pb.FailureClass_TRANSIENT
}

// Inherited opens the socket passed by the daemon.
func Inherited() (*os.File, error) {
	f := os.NewFile(linkDescriptor, "worker")
	if _, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("open descriptor %d: %w: a rank is started by a worker, not by hand",
			linkDescriptor, err)
	}
	return f, nil
}

const linkDescriptor = 3
