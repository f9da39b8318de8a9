package consensus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"
)

const (
	logCacheEntries = 512
	keepSnapshots   = 2 // the newest may be damaged
)

// Consensus is one running member.
type Consensus struct {
	cfg       Config
	log       zerolog.Logger
	raft      *raft.Raft
	trans     *raft.NetworkTransport
	stream    *streamLayer
	store     *boltStore
	fail      *failStop
	leaderCh  chan Leadership
	announced atomic.Pointer[Leadership]

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	watching  sync.WaitGroup
}

// Start opens the member's files and joins the group. A group whose members have no state yet
// begins with Config.Members; all members must be given the same ones. It returns before there is a
// leader.
func Start(cfg Config, m Machine) (*Consensus, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start consensus: %w", err)
	}
	listener, err := net.Listen("tcp", cfg.Bind)
	if err != nil {
		return nil, fmt.Errorf("start consensus: listen for Raft: %w", err)
	}
	c := &Consensus{
		cfg: cfg, log: cfg.Logger.With().Str("part", "consensus").Str("member", cfg.ID).Logger(),
		stream:   newStreamLayer(listener, cfg.Advertise),
		leaderCh: make(chan Leadership, 1), closing: make(chan struct{}),
	}
	c.announced.Store(&Leadership{})
	c.fail = newFailStop(cfg.Dir, func() { _ = c.stream.Close() })
	if err := c.open(m); err != nil {
		c.fail.release()
		return nil, fmt.Errorf("start consensus: %w", errors.Join(err, c.closeFiles()))
	}
	c.watching.Add(2)
	go c.watchLeadership()
	go c.watchDisk()
	return c, nil
}

// open makes everything that can fail. On an error the caller closes what is there.
func (c *Consensus) open(m Machine) error {
	var err error
	if c.store, err = openStore(c.cfg.Dir, c.fail, c.cfg.beforeWrite); err != nil {
		return err
	}
	if err := dropPartialSnapshots(c.cfg.Dir); err != nil {
		return err
	}
	logger := newRaftLogger(c.cfg.Logger.With().Str("member", c.cfg.ID).Logger())
	files, err := raft.NewFileSnapshotStoreWithLogger(c.cfg.Dir, keepSnapshots, logger)
	if err != nil {
		return diskError(c.cfg.Dir, "open Raft snapshots", err)
	}
	snaps := &snapshotStore{SnapshotStore: files, fail: c.fail, beforeWrite: c.cfg.beforeWrite}
	c.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: c.stream, ServerAddressProvider: c.addresses(), Logger: logger,
		MaxPool: 3, Timeout: rpcTimeout,
	})
	conf := c.raftConfig()
	conf.Logger = logger
	cache, err := raft.NewLogCache(logCacheEntries, c.store)
	if err != nil {
		return fmt.Errorf("make log cache: %w", err)
	}
	return c.startRaft(conf, fsm{m}, cache, snaps)
}

// startRaft runs the part that writes in a goroutine of its own, which a refusing disk may stop for
// good, and in which raft may panic over files that do not fit together.
func (c *Consensus) startRaft(conf *raft.Config, f raft.FSM, logs raft.LogStore,
	snaps raft.SnapshotStore) error {
	done := make(chan error, 1)
	go func() {
		err := errStopped
		defer func() {
			if p := recover(); p != nil {
				err = damagedError(c.cfg.Dir, fmt.Errorf("%v", p))
			}
			done <- err // also when failStop ended this goroutine
		}()
		c.raft, err = c.bootAndRun(conf, f, logs, snaps)
	}()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-c.fail.failed:
		c.fail.release()
		<-done // c.raft is settled now
		return c.fail.err
	}
	return c.sameMembers()
}

var errStopped = errors.New("stopped by the disk")

func (c *Consensus) bootAndRun(conf *raft.Config, f raft.FSM, logs raft.LogStore,
	snaps raft.SnapshotStore) (*raft.Raft, error) {
	known, err := raft.HasExistingState(logs, c.store, snaps)
	if err != nil {
		return nil, fmt.Errorf("look for earlier state: %w", err)
	}
	if !known {
		err := raft.BootstrapCluster(conf, logs, c.store, snaps, c.trans, c.bootstrap())
		if err != nil {
			return nil, fmt.Errorf("begin group: %w", err)
		}
	}
	r, err := raft.NewRaft(conf, f, logs, c.store, snaps, c.trans)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return r, nil
}

// sameMembers refuses a Config whose members are not those of the files: two groups could form.
func (c *Consensus) sameMembers() error {
	f := c.raft.GetConfiguration()
	if err := c.await(context.Background(), f.Error); err != nil {
		return fmt.Errorf("read group: %w", err)
	}
	var have, want []string
	for _, s := range f.Configuration().Servers {
		have = append(have, string(s.ID))
	}
	for _, m := range c.cfg.Members {
		want = append(want, m.ID)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("group in %s has the members %s, the configuration says %s: "+
			"start with the members of the directory, or with another directory",
			c.cfg.Dir, strings.Join(have, ", "), strings.Join(want, ", "))
	}
	return nil
}

// await runs one of raft's waits, which cannot be interrupted, in a goroutine, and gives up on it
// at the end of ctx, when the disk fails (raft's loop is held and answers nothing), and at Close.
func (c *Consensus) await(ctx context.Context, wait func() error) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.fail.failed:
		return c.fail.err
	case <-c.closing:
		return errClosed
	}
}

var errClosed = errors.New("member closed")

func (c *Consensus) raftConfig() *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(c.cfg.ID)
	conf.HeartbeatTimeout = c.cfg.HeartbeatTimeout
	conf.ElectionTimeout = c.cfg.ElectionTimeout
	conf.LeaderLeaseTimeout = c.cfg.LeaderLease
	conf.SnapshotInterval = c.cfg.SnapshotInterval
	conf.SnapshotThreshold = c.cfg.SnapshotThreshold
	conf.TrailingLogs = c.cfg.TrailingLogs
	conf.BatchApplyCh = true // concurrent proposals share an fsync
	conf.PreVoteDisabled = false
	conf.NoLegacyTelemetry = true
	return conf
}

func (c *Consensus) bootstrap() raft.Configuration {
	var servers []raft.Server
	for _, m := range c.cfg.Members {
		servers = append(servers, raft.Server{
			ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.RaftAddr),
		})
	}
	return raft.Configuration{Servers: servers}
}

func (c *Consensus) addresses() addressBook {
	book := addressBook{}
	for _, m := range c.cfg.Members {
		book[raft.ServerID(m.ID)] = raft.ServerAddress(m.RaftAddr)
	}
	return book
}

// watchDisk passes the first refusal of the disk on to Config.Fatal.
func (c *Consensus) watchDisk() {
	defer c.watching.Done()
	select {
	case <-c.fail.failed:
		c.log.Error().Err(c.fail.err).Msg("disk refused a write")
		// Not waited for: Fatal may well call Close, which waits for this goroutine.
		go c.cfg.Fatal(c.fail.err)
	case <-c.closing:
	}
}

// Leader returns the member that leads as far as this one knows; it may be out of date.
func (c *Consensus) Leader() (id string, ok bool) {
	if c.out() {
		return "", false
	}
	_, leader := c.raft.LeaderWithID()
	return string(leader), leader != ""
}

// Stats is a member's view of the group, for people and metrics.
type Stats struct {
	State   string // "Leader", "Follower", "Candidate", "Shutdown"
	Leader  string // "" when unknown
	Epoch   uint64
	Last    uint64 // index of the newest entry in this member's log
	Commit  uint64 // newest index known to be committed
	Applied uint64 // newest index handed to the Machine
}

// Stats returns figures of this moment.
func (c *Consensus) Stats() Stats {
	leader, _ := c.Leader()
	return Stats{
		State: c.raft.State().String(), Leader: leader, Epoch: c.raft.CurrentTerm(),
		Last: c.raft.LastIndex(), Commit: c.raft.CommitIndex(), Applied: c.raft.AppliedIndex(),
	}
}

// Snapshot compacts the log now rather than when the thresholds say so. It returns nil when there
// is nothing new to keep.
func (c *Consensus) Snapshot(ctx context.Context) error {
	err := c.await(ctx, func() error { return c.raft.Snapshot().Error() })
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return nil
}

// Close hands leadership over if this member has it and another can take it, leaves the network and
// closes the files. It may be called more than once. Proposals under way end as ErrUnknownOutcome.
func (c *Consensus) Close() error { return c.close(true) }

func (c *Consensus) close(transfer bool) error {
	c.closeOnce.Do(func() {
		if transfer && c.leading() && len(c.cfg.Members) > 1 {
			c.handOver()
		}
		close(c.closing)
		c.closeErr = c.closeFiles()
		c.watching.Wait()
	})
	return c.closeErr
}

func (c *Consensus) handOver() {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.transferWait)
	defer cancel()
	err := c.await(ctx, func() error { return c.raft.LeadershipTransfer().Error() })
	c.log.Info().AnErr("error", err).Msg("leadership handed over") // else the others elect
}

// closeFiles cuts the connections first: only then may a goroutine that a failed write holds end.
func (c *Consensus) closeFiles() error {
	errs := []error{c.stream.Close()}
	if c.trans != nil {
		c.trans.CloseStreams()
		errs = append(errs, c.trans.Close())
	}
	if c.raft != nil {
		f := c.raft.Shutdown()
		c.fail.release()
		errs = append(errs, f.Error())
	}
	c.fail.release()
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}

// leading says whether raft takes this member for the leader, barrier or not.
func (c *Consensus) leading() bool { return !c.out() && c.raft.State() == raft.Leader }

// out says whether this member has stopped taking part.
func (c *Consensus) out() bool {
	select {
	case <-c.closing:
		return true
	case <-c.fail.failed:
		return true
	default:
		return false
	}
}
