package agent

import (
	"context"
	"runtime"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// key names one rank of one generation.
type key struct {
	run        string
	generation uint64
	rank       uint32
}

// Messages to the core.
type (
	fromLeader struct {
		s *session
		m *pb.CoordinatorMessage
	}
	sessionUp   struct{ s *session }
	sessionDown struct{ s *session }
	rankSaid    struct {
		p *process
		m *pb.FromRank
	}
	rankExited struct {
		p      *process
		reason string
	}
)

// core owns everything the agent knows. Only run touches it.
type core struct {
	cfg     Config
	inbox   chan any
	session *session // nil: none
	epoch   uint64   // newest leadership heard of
	desired map[key]*pb.RankAssignment
	procs   map[key]*process // running ones
	outbox  *outbox
}

func newCore(cfg Config) *core {
	return &core{cfg: cfg, inbox: make(chan any, 256), desired: map[key]*pb.RankAssignment{},
		procs: map[key]*process{}, outbox: newOutbox()}
}

// run is the agent's only decision loop. It stays on one thread: on Linux a child asks to die with
// the thread that made it.
func (c *core) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	resend := time.NewTicker(resendEvery)
	defer resend.Stop()
	for {
		select {
		case m := <-c.inbox:
			c.handle(m)
		case <-resend.C:
			c.sayAll(c.outbox.overdue())
		case <-ctx.Done():
			c.shutdown()
			return
		}
	}
}

// shutdown kills every rank and waits for all of them.
func (c *core) shutdown() {
	for _, p := range c.procs {
		p.kill()
	}
	for len(c.procs) > 0 {
		if m, ok := (<-c.inbox).(rankExited); ok {
			delete(c.procs, m.p.key)
		}
	}
}

func (c *core) handle(m any) {
	switch m := m.(type) {
	case sessionUp:
		if m.s.epoch < c.epoch {
			m.s.cancel() // a leader of the past that does not know it yet
			return
		}
		c.session, c.epoch = m.s, m.s.epoch
		c.sayAll(c.outbox.everything())
	case sessionDown:
		if c.session == m.s {
			c.session = nil
		}
	case fromLeader:
		if m.s == c.session {
			c.obey(m.m)
		}
	case rankSaid:
		c.fromRank(m.p, m.m)
	case rankExited:
		c.exited(m.p, m.reason)
	}
}

func (c *core) obey(m *pb.CoordinatorMessage) {
	switch m := m.GetMessage().(type) {
	case *pb.CoordinatorMessage_Desired:
		c.desired = map[key]*pb.RankAssignment{}
		for _, a := range m.Desired.GetRanks() {
			c.desired[keyOf(a)] = a
		}
		c.reconcile()
	case *pb.CoordinatorMessage_RecordsAck:
		c.sayAll(c.outbox.acknowledge(m.RecordsAck))
	}
}

func keyOf(a *pb.RankAssignment) key {
	return key{a.GetRun(), a.GetGeneration(), a.GetRank()}
}

// reconcile makes the processes what the leader wants: kill first, then start.
func (c *core) reconcile() {
	for k, p := range c.procs {
		if c.desired[k] == nil {
			p.kill()
		}
	}
	c.outbox.forget(func(k key) bool { return c.desired[k] == nil && c.procs[k] == nil })
	for k, a := range c.desired {
		if p := c.procs[k]; p != nil {
			c.outbox.committed(k, a.GetCommittedStep())
			p.assign(a)
			continue
		}
		if c.outbox.ended(k) || c.deviceBusy(a) {
			continue // its generation is over, or its device is not free yet
		}
		c.start(k, a)
	}
}

// deviceBusy reports whether a rank that is being killed still holds the device.
func (c *core) deviceBusy(a *pb.RankAssignment) bool {
	for _, p := range c.procs {
		if p.device == a.GetDevice() {
			return true
		}
	}
	return false
}

func (c *core) start(k key, a *pb.RankAssignment) {
	p, err := spawn(c.cfg, a, c.inbox)
	if err != nil {
		c.cfg.Log.Error().Err(err).Str("run", k.run).Msg("rank did not start")
		c.say(c.outbox.report(deadReport(k, err.Error())))
		return
	}
	c.cfg.Log.Info().Str("run", k.run).Uint64("generation", k.generation).Uint32("rank", k.rank).
		Int("pid", p.pid()).Msg("rank started")
	c.procs[k] = p
	c.say(c.outbox.report(&pb.RankReport{Run: k.run, Generation: k.generation, Rank: k.rank,
		Phase: pb.RankPhase_STARTING}))
	p.assign(a)
}

func (c *core) fromRank(p *process, m *pb.FromRank) {
	switch m := m.GetMessage().(type) {
	case *pb.FromRank_Report:
		c.say(c.outbox.report(m.Report))
	case *pb.FromRank_Shard:
		c.say(c.outbox.shard(m.Shard))
	case *pb.FromRank_Record:
		c.say(c.outbox.record(p.key, m.Record))
	}
}

// exited runs after the last message of a rank. A rank that ended without saying why was killed
// or crashed.
func (c *core) exited(p *process, reason string) {
	delete(c.procs, p.key)
	if !c.outbox.ended(p.key) {
		c.cfg.Log.Warn().Str("run", p.key.run).Uint64("generation", p.key.generation).
			Uint32("rank", p.key.rank).Str("reason", reason).Msg("rank died")
		c.say(c.outbox.report(deadReport(p.key, reason)))
	}
	c.reconcile()
}

func deadReport(k key, reason string) *pb.RankReport {
	return &pb.RankReport{Run: k.run, Generation: k.generation, Rank: k.rank,
		Phase: pb.RankPhase_DEAD, Reason: reason, Failure: pb.FailureClass_TRANSIENT}
}

func (c *core) say(m *pb.WorkerMessage) {
	if m != nil && c.session != nil {
		c.session.send(proto.CloneOf(m))
	}
}

func (c *core) sayAll(list []*pb.WorkerMessage) {
	for _, m := range list {
		c.say(m)
	}
}
