package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/coordinator/plan"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Proposer commits commands; consensus implements it.
type Proposer interface {
	Propose(ctx context.Context, cmd *pb.Command) (*pb.ApplyResult, error)
}

const (
	proposeTimeout = 10 * time.Second
	tickEvery      = 200 * time.Millisecond
	// firstGrace is how many lease times a new leader waits for a worker it has not heard: the old
	// leader may have frozen, and the worker takes one to notice (I8, I9).
	firstGrace = 3
	// drainLimit bounds how many messages are taken before the state is looked at again.
	drainLimit = 1024
)

// rankKey names one rank of one generation.
type rankKey struct {
	run        string
	generation uint64
	rank       uint32
}

func (k rankKey) String() string { return fmt.Sprintf("%s/%d/%d", k.run, k.generation, k.rank) }

// Messages to the leader's loop.
type (
	opened struct{ s *session }
	closed struct{ s *session }
	said   struct {
		s *session
		m *pb.WorkerMessage
	}
	proposal struct {
		cmd   *pb.Command
		reply chan proposed
	}
	proposed struct {
		result *pb.ApplyResult
		err    error
	}
	committed struct {
		run        string
		generation uint64
		ref        *pb.CheckpointRef
		err        error
	}
	diverged struct {
		run        string
		generation uint64
		reason     string
	}
)

// lead is one leadership: from gaining it to losing it. Only run touches its fields.
type lead struct {
	cfg       Config
	proposer  Proposer
	machine   *state.Machine
	log       zerolog.Logger
	inbox     chan any
	ended     <-chan struct{} // closed when the leadership is over
	recorders *recorders
	epoch     uint64 // rises with every leadership of the group

	sessions  map[string]*session     // by worker
	leases    map[string]time.Time    // by worker: when it was last heard
	reports   map[rankKey]*rankReport // newest word of every rank
	shards    map[shardKey]*pb.ShardReport
	flying    map[checkpointKey]bool // manifests being written
	waiting   sync.Map               // run -> why the planner cannot place it; read by the services
	unwritten sync.Map               // run -> newest event of a checkpoint that is late; the same
	told      map[string]lateness    // run -> the late checkpoint that was told
	manifests map[string]ownLate     // run -> the manifest that this leader cannot write
	endedAt   map[string]time.Time   // run -> when its last generation ended
	stalled   map[string]dataWait    // run -> the wait for data that was told
	swept     map[string]uint64      // run -> the generation in which its folder was swept
	storeDown map[string]bool        // run -> its last generation ended because the store was away
	moving    map[string]plan.Move   // run -> the generation that is to end for another one
	placedAt  map[string]time.Time   // run -> when its last generation was made
	began     time.Time              // when this leadership began
	drivenAt  time.Time              // when the state was looked at last
	unsure    []committed            // checkpoints whose commit had no clear outcome
}

// rankReport is a rank's newest word and the worker that passed it on.
type rankReport struct {
	worker string
	*pb.RankReport
	movedAt time.Time // when phase, step or beat changed last
}

func newLead(cfg Config, p Proposer, m *state.Machine, bus Bus, ended <-chan struct{}) *lead {
	l := &lead{
		cfg: cfg, proposer: p, machine: m, log: cfg.Log, ended: ended,
		inbox: make(chan any, 4096), sessions: map[string]*session{},
		leases: map[string]time.Time{}, reports: map[rankKey]*rankReport{},
		shards: map[shardKey]*pb.ShardReport{}, flying: map[checkpointKey]bool{},
		endedAt:  map[string]time.Time{},
		moving:   map[string]plan.Move{},
		placedAt: map[string]time.Time{}, storeDown: map[string]bool{},
		stalled: map[string]dataWait{}, swept: map[string]uint64{},
		told: map[string]lateness{}, manifests: map[string]ownLate{},
	}
	l.recorders = newRecorders(cfg, bus, l.post)
	return l
}

// post sends a message to the loop unless the leadership is over.
func (l *lead) post(m any) bool {
	select {
	case l.inbox <- m:
		return true
	case <-l.ended:
		return false
	}
}

// run leads until ctx ends.
func (l *lead) run(ctx context.Context) {
	defer l.recorders.close()
	l.began = time.Now()
	l.drivenAt = l.began
	for _, w := range l.machine.Workers() {
		l.leases[w.GetId()] = l.began.Add(l.cfg.LeaseTTL * (firstGrace - 1)) // (I8)
	}
	for _, r := range l.machine.Runs() {
		l.recorders.publish(r, r.GetEvents())
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	l.drive(ctx)
	for {
		select {
		case m := <-l.inbox:
			dirty := l.handle(ctx, m)
			for range drainLimit {
				select {
				case m := <-l.inbox:
					dirty = l.handle(ctx, m) || dirty
					continue
				default:
				}
				break
			}
			if dirty {
				l.drive(ctx)
			}
		case <-tick.C:
			l.drive(ctx)
		case <-ctx.Done():
			for _, s := range l.sessions {
				s.end(errLeadershipLost)
			}
			return
		}
	}
}

var errLeadershipLost = errors.New("leadership lost")

// handle takes in one message and reports whether something may have to be done about it.
func (l *lead) handle(ctx context.Context, m any) bool {
	switch m := m.(type) {
	case opened:
		l.open(m.s)
	case closed:
		if l.sessions[m.s.worker] == m.s {
			l.leases[m.s.worker] = time.Unix(0, m.s.heard.Load())
			delete(l.sessions, m.s.worker)
			l.log.Info().Str("worker", m.s.worker).Msg("session closed")
		}
	case said:
		if l.sessions[m.s.worker] != m.s {
			return false // an older session's last words
		}
		return l.listen(ctx, m.s, m.m)
	case proposal:
		if x := m.cmd.GetSetWeights(); x != nil {
			x.LastSeenStep = l.lastStep(x.GetRun())
		}
		result, err := l.propose(ctx, m.cmd)
		m.reply <- proposed{result, err}
	case committed:
		l.commitCheckpoint(ctx, m)
	case ownLate:
		l.ownIsLate(m)
		return false
	case query:
		m.read()
		return false
	case diverged:
		l.endGeneration(ctx, m.run, m.generation, m.reason, true)
	}
	return true
}

// open registers a worker's session; an older session of the same worker is over.
func (l *lead) open(s *session) {
	if old := l.sessions[s.worker]; old != nil {
		old.end(fmt.Errorf("worker %s opened a newer session", s.worker))
	}
	for k, r := range l.reports {
		if r.worker == s.worker {
			s.had = append(s.had, k)
			delete(l.reports, k) // it says everything again
		}
	}
	l.sessions[s.worker] = s
	l.log.Info().Str("worker", s.worker).Msg("session open")
}

// register puts workers that the replicated state does not know as they are into it.
func (l *lead) register(ctx context.Context) {
	known := map[string]*pb.WorkerInfo{}
	for _, w := range l.machine.Workers() {
		known[w.GetId()] = w
	}
	for _, s := range l.sessions {
		if s.refused || proto.Equal(known[s.worker], s.info) {
			continue
		}
		result, err := l.propose(ctx, &pb.Command{Command: &pb.Command_RegisterWorker{
			RegisterWorker: &pb.RegisterWorker{Worker: s.info}}})
		if err != nil {
			l.log.Warn().Err(err).Str("worker", s.worker).Msg("register worker; retrying")
			continue
		}
		if s.refused = result.GetCode() != pb.ApplyResult_OK; s.refused {
			l.log.Error().Str("worker", s.worker).Str("reason", result.GetReason()).
				Msg("worker refused")
		}
	}
}

// listen takes in what a worker said.
func (l *lead) listen(ctx context.Context, s *session, m *pb.WorkerMessage) bool {
	switch m := m.GetMessage().(type) {
	case *pb.WorkerMessage_Rank:
		return l.heard(s, m.Rank)
	case *pb.WorkerMessage_Inventory:
		for _, r := range m.Inventory.GetRanks() {
			l.heard(s, r)
		}
		l.missing(ctx, s)
		return true
	case *pb.WorkerMessage_Shard:
		return l.collect(s, m.Shard)
	case *pb.WorkerMessage_Records:
		if run, ok := l.machine.Run(m.Records.GetRun()); ok {
			l.recorders.records(run, m.Records, s.sendAck)
		}
	}
	return false
}

// heard keeps a rank's newest word and reports whether its phase is news.
//
// A worker speaks for its own ranks only: for those placed on it, and for what it still has of
// older generations.
func (l *lead) heard(s *session, r *pb.RankReport) bool {
	run, ok := l.machine.Run(r.GetRun())
	if !ok || r.GetGeneration() > run.GetGeneration() {
		return false
	}
	if r.GetGeneration() == run.GetGeneration() && state.Live(run) &&
		!placed(run, r.GetRank(), s.worker) {
		return false
	}
	if len(r.GetReason()) > maxReason {
		r.Reason = strings.ToValidUTF8(r.Reason[:maxReason], "") + " ..."
	}
	k := rankKey{r.GetRun(), r.GetGeneration(), r.GetRank()}
	old := l.reports[k]
	now := &rankReport{worker: s.worker, RankReport: r, movedAt: time.Now()}
	if old != nil && old.GetPhase() == r.GetPhase() && old.GetStep() == r.GetStep() &&
		old.GetBeat() == r.GetBeat() {
		now.movedAt = old.movedAt
	}
	l.reports[k] = now
	l.stall(run)
	l.late(run)
	return old == nil || old.GetPhase() != r.GetPhase()
}

// endedItself is why ranks that nobody asked to stop ended before the last step, or "".
func (l *lead) endedItself(run *pb.Run) string {
	for _, p := range run.GetRanks() {
		if r := l.report(run, p); r.GetPhase() == pb.RankPhase_DONE && r.GetReason() != "" {
			return r.GetReason()
		}
	}
	return ""
}

// maxReason bounds a rank's last words: they travel through Raft and to every watcher.
const maxReason = 4 << 10

// placed reports whether a rank of the run's live generation is on this worker.
func placed(run *pb.Run, rank uint32, worker string) bool {
	ranks := run.GetRanks()
	return int(rank) < len(ranks) && ranks[rank].GetWorker() == worker
}

// missing ends generations whose rank on this worker is not in its inventory: the daemon was
// restarted. (In a generation that is just assigned, the rank may not have been asked for yet,
// unless it was heard of before.)
func (l *lead) missing(ctx context.Context, s *session) {
	for _, run := range l.machine.Runs() {
		if !state.Live(run) {
			continue
		}
		for _, p := range run.GetRanks() {
			k := rankKey{run.GetId(), run.GetGeneration(), p.GetRank()}
			started := run.GetState() == pb.RunState_RUNNING || slices.Contains(s.had, k)
			if started && p.GetWorker() == s.worker && l.report(run, p) == unheard {
				l.endGeneration(ctx, run.GetId(), run.GetGeneration(),
					fmt.Sprintf("worker %s came back without rank %d", s.worker, p.GetRank()), false)
				break
			}
		}
	}
}

// propose commits one command and publishes its events. Only the loop calls it.
func (l *lead) propose(ctx context.Context, cmd *pb.Command) (*pb.ApplyResult, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	cmd.UnixMs = time.Now().UnixMilli()
	result, err := l.proposer.Propose(ctx, cmd)
	if err != nil {
		return nil, err
	}
	if run, ok := l.machine.Run(result.GetRun()); ok {
		l.recorders.publish(run, result.GetEvents())
	}
	return result, nil
}

// command is propose for the leader's own commands, where a refusal is worth a line.
func (l *lead) command(ctx context.Context, what string, cmd *pb.Command) bool {
	result, err := l.propose(ctx, cmd)
	switch {
	case err != nil:
		l.log.Warn().Err(err).Msg(what)
	case result.GetCode() != pb.ApplyResult_OK:
		l.log.Warn().Str("code", result.GetCode().String()).Str("reason", result.GetReason()).Msg(what)
	default:
		return true
	}
	return false
}

// prune forgets ended ranks of generations that are over.
func (l *lead) prune() {
	for k, r := range l.reports {
		run, ok := l.machine.Run(k.run)
		past := !ok || run.GetGeneration() != k.generation || !state.Live(run)
		if past && over(r.GetPhase()) {
			delete(l.reports, k)
		}
	}
	for k := range l.shards {
		run, ok := l.machine.Run(k.run)
		if !ok || run.GetGeneration() != k.generation || !state.Live(run) ||
			state.Newest(run).GetStep() >= k.step {
			delete(l.shards, k)
		}
	}
}
