package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/coordinator/consensus"
	"github.com/banyan-train/banyan/coordinator/state"
	"github.com/banyan-train/banyan/coordinator/telemetry"
	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Address lists where one coordinator listens.
type Address struct {
	ID   string
	GRPC string // clients and workers
	Raft string // the other coordinators
	NATS string // telemetry between coordinators
}

// Config of one coordinator.
type Config struct {
	ID       string
	Members  []Address     // all coordinators, this one included
	Dir      string        // Raft log and telemetry
	LeaseTTL time.Duration // silence after which a worker is lost; default 3 s
	// StallLimit is how long no rank of a generation may move before it is ended; default 5 min.
	// It is the last resort: a collective that makes no progress ends earlier, by itself.
	StallLimit time.Duration
	Secret     string // shared by the coordinators for telemetry
	Log        zerolog.Logger
}

const telemetryReplicas = 3

// DefaultLeaseTTL is long against scheduling hiccups of a busy host, and short against a step of
// a large model.
const DefaultLeaseTTL = 3 * time.Second

// DefaultStallLimit is above every deadline of a rank: loading, rendezvous, one collective.
const DefaultStallLimit = 5 * time.Minute

func (c *Config) self() (Address, error) {
	for _, m := range c.Members {
		if m.ID == c.ID {
			return m, nil
		}
	}
	return Address{}, fmt.Errorf("coordinator %q is not among the members", c.ID)
}

// group is the coordinators' Raft group as one member sees it; consensus implements it.
type group interface {
	Proposer
	// Leader is the id of the member known to lead; false while nobody is.
	Leader() (id string, ok bool)
	// LeaderCh tells when this member begins and ceases to lead.
	LeaderCh() <-chan consensus.Leadership
	// Verify makes what was read before it a linearizable read, or fails.
	Verify(ctx context.Context) error
}

var (
	_ group = (*consensus.Consensus)(nil)
	_ Bus   = (*telemetry.Bus)(nil)
)

// member is one running coordinator.
type member struct {
	cfg       Config
	machine   *state.Machine
	consensus group
	bus       Bus

	mu   sync.Mutex
	lead *lead // nil: this member does not lead
}

// Run serves until ctx ends or the member must stop, for instance because its disk is full.
func Run(ctx context.Context, cfg Config) error {
	if cfg.LeaseTTL <= 0 {
		cfg.LeaseTTL = DefaultLeaseTTL
	}
	if cfg.StallLimit <= 0 {
		cfg.StallLimit = DefaultStallLimit
	}
	self, err := cfg.self()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m := &member{cfg: cfg, machine: state.New()}
	listener, err := net.Listen("tcp", self.GRPC)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	defer listener.Close()
	bus, err := startTelemetry(cfg, self)
	if err != nil {
		return err
	}
	defer bus.Close()
	raft, err := startConsensus(cfg, self, m.machine, stop)
	if err != nil {
		return err
	}
	defer raft.Close()
	m.bus, m.consensus = bus, raft
	server := m.newServer()
	go func() {
		if err := server.Serve(listener); err != nil {
			stop(fmt.Errorf("serve gRPC: %w", err))
		}
	}()
	defer server.Stop()
	cfg.Log.Info().Str("grpc", self.GRPC).Str("raft", self.Raft).Msg("coordinator serves")
	m.followLeadership(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func startTelemetry(cfg Config, self Address) (*telemetry.Bus, error) {
	var routes []string
	for _, p := range cfg.Members {
		if p.ID != cfg.ID {
			routes = append(routes, p.NATS)
		}
	}
	t := telemetry.Config{Name: cfg.ID, Dir: filepath.Join(cfg.Dir, "telemetry"),
		Replicas: min(telemetryReplicas, len(cfg.Members)), Password: cfg.Secret, Logger: cfg.Log}
	if len(routes) > 0 {
		t.ClusterListen, t.Routes = self.NATS, routes
	}
	bus, err := telemetry.Start(t)
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	return bus, nil
}

func startConsensus(cfg Config, self Address, m *state.Machine, stop func(error),
) (*consensus.Consensus, error) {
	var members []consensus.Member
	for _, p := range cfg.Members {
		members = append(members, consensus.Member{ID: p.ID, RaftAddr: p.Raft})
	}
	c, err := consensus.Start(consensus.Config{ID: cfg.ID, Bind: self.Raft, Advertise: self.Raft,
		Dir: filepath.Join(cfg.Dir, "raft"), Members: members, Logger: cfg.Log, Fatal: stop}, m)
	if err != nil {
		return nil, fmt.Errorf("start consensus: %w", err)
	}
	return c, nil
}

func (m *member) newServer() *grpc.Server {
	s := grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: leader.KeepaliveMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: leader.KeepaliveTime,
			Timeout: leader.KeepaliveTimeout}),
		grpc.MaxRecvMsgSize(leader.MaxMessageBytes), grpc.MaxSendMsgSize(leader.MaxMessageBytes))
	pb.RegisterRunServiceServer(s, runService{m: m})
	pb.RegisterClusterServiceServer(s, clusterService{m: m})
	pb.RegisterWorkerServiceServer(s, workerService{m: m})
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s
}

// followLeadership leads whenever this member is elected, until ctx ends.
func (m *member) followLeadership(ctx context.Context) {
	var end func()
	for {
		select {
		case change, ok := <-m.consensus.LeaderCh():
			if end != nil {
				end()
				end = nil
			}
			if !ok { // the disk refused a write; the reason is on its way (Fatal)
				<-ctx.Done()
				return
			}
			if change.Leader {
				m.cfg.Log.Info().Uint64("epoch", change.Epoch).Msg("leads")
				end = m.beginLead(ctx, change.Epoch)
			}
		case <-ctx.Done():
			if end != nil {
				end()
			}
			return
		}
	}
}

// beginLead starts the leader's loop and returns what ends it.
func (m *member) beginLead(ctx context.Context, epoch uint64) func() {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	l := newLead(m.cfg, m.consensus, m.machine, m.bus, ended)
	l.epoch = epoch
	m.setLead(l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	return func() {
		m.setLead(nil)
		close(ended)
		cancel()
		<-done
		m.cfg.Log.Info().Msg("leads no longer")
	}
}

func (m *member) setLead(l *lead) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lead = l
}

// leading answers the present leadership, or the error that points elsewhere.
func (m *member) leading() (*lead, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lead == nil {
		return nil, m.notLeader()
	}
	return m.lead, nil
}

// verify makes what was just read a linearizable read (I7).
func (m *member) verify(ctx context.Context) error {
	if err := m.consensus.Verify(ctx); err != nil {
		return m.notLeader()
	}
	return nil
}

func (m *member) leaderAddress() string {
	id, ok := m.consensus.Leader()
	if !ok {
		return ""
	}
	for _, p := range m.cfg.Members {
		if p.ID == id {
			return p.GRPC
		}
	}
	return ""
}

func (m *member) grpcAddress() string {
	self, _ := m.cfg.self() // checked at start
	return self.GRPC
}

func (m *member) notLeader() error {
	s, err := status.New(codes.FailedPrecondition, m.cfg.ID+" does not lead").
		WithDetails(&pb.NotLeader{LeaderAddress: m.leaderAddress()})
	if err != nil {
		return status.Error(codes.Unavailable, m.cfg.ID+" does not lead")
	}
	return s.Err()
}
