package consensus

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// Member is one coordinator of the group.
type Member struct {
	ID       string
	RaftAddr string // host:port at which the others reach its Raft listener
}

// Config says who this member is, who the others are, and where its files live.
type Config struct {
	ID        string // one of Members
	Bind      string // host:port to listen at for Raft
	Advertise string // host:port the others dial; empty: this member's RaftAddr in Members
	Dir       string // owned by this member alone; created when missing
	Members   []Member
	Logger    zerolog.Logger

	// Fatal is called at most once, from a goroutine of its own, when the disk refuses a write
	// after Start has returned. This member has then left the group for good and its process must
	// stop. The error names the directory, the free space and the fix. Required.
	Fatal func(error)

	// Zero values mean the Default* constants.
	HeartbeatTimeout  time.Duration // silence after which a follower asks for an election
	ElectionTimeout   time.Duration // time a candidate waits for votes
	LeaderLease       time.Duration // silence of the majority after which a leader steps down
	SnapshotInterval  time.Duration // how often to look whether one is due
	SnapshotThreshold uint64        // entries since the last snapshot that make one due
	TrailingLogs      uint64        // entries kept behind a snapshot for slow followers

	beforeWrite  func(string) error // tests: a disk that refuses; gets the operation
	transferWait time.Duration      // bounds the hand-over of leadership in Close; tests wait longer
}

// Defaults. A follower waits one to two heartbeat timeouts before it asks for votes, so a dead
// leader is replaced in 0.5 to 1 s plus a vote: short enough for a run to notice nothing, long
// enough that a busy 2-core machine or a 100 ms disk does not depose a living leader. The lease is
// below the heartbeat timeout, as raft demands, so that an isolated leader steps down before the
// others elect the next. Commands are few and small, hence snapshots by count far below raft's own
// default.
const (
	DefaultHeartbeatTimeout  = 500 * time.Millisecond
	DefaultElectionTimeout   = 500 * time.Millisecond
	DefaultLeaderLease       = 250 * time.Millisecond
	DefaultSnapshotInterval  = 60 * time.Second
	DefaultSnapshotThreshold = 4096
	DefaultTrailingLogs      = 4096

	defaultTransferWait = 2 * time.Second
)

func (c Config) withDefaults() Config {
	setDefault(&c.HeartbeatTimeout, DefaultHeartbeatTimeout)
	setDefault(&c.ElectionTimeout, DefaultElectionTimeout)
	setDefault(&c.LeaderLease, min(DefaultLeaderLease, c.HeartbeatTimeout))
	setDefault(&c.SnapshotInterval, DefaultSnapshotInterval)
	setDefault(&c.SnapshotThreshold, DefaultSnapshotThreshold)
	setDefault(&c.TrailingLogs, DefaultTrailingLogs)
	setDefault(&c.transferWait, defaultTransferWait)
	if c.Advertise == "" {
		for _, m := range c.Members {
			if m.ID == c.ID {
				c.Advertise = m.RaftAddr
			}
		}
	}
	return c
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate reports everything that is wrong with the Config, at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ID == "" {
		bad("id is empty: give this coordinator a name")
	}
	if c.Dir == "" {
		bad("dir is empty: name a directory for the Raft log")
	}
	if c.Fatal == nil {
		bad("no Fatal function: a full disk would go unheard")
	}
	if c.Bind == "" {
		bad("bind is empty: give host:port for Raft")
	}
	ids, addrs := map[string]bool{}, map[string]bool{}
	for i, m := range c.Members {
		if m.ID == "" {
			bad("members[%d] has no id", i)
		}
		if ids[m.ID] {
			bad("members[%d]: id %q is there twice", i, m.ID)
		}
		if addrs[m.RaftAddr] {
			bad("members[%d]: address %q is there twice", i, m.RaftAddr)
		}
		ids[m.ID], addrs[m.RaftAddr] = true, true
		if err := dialable(m.RaftAddr); err != nil {
			bad("members[%d] (%s): %w", i, m.ID, err)
		}
	}
	if c.ID != "" && !ids[c.ID] {
		bad("id %q is not among the %d members", c.ID, len(c.Members))
	}
	if c.Advertise != "" {
		if err := dialable(c.Advertise); err != nil {
			bad("advertise: %w", err)
		}
	}
	if c.LeaderLease > c.HeartbeatTimeout && c.HeartbeatTimeout > 0 {
		bad("leader lease %v is above the heartbeat timeout %v: two leaders could overlap",
			c.LeaderLease, c.HeartbeatTimeout)
	}
	return errors.Join(errs...)
}

// dialable checks that other hosts could be told to dial addr: it has a host, not "any", and a
// port.
func dialable(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("address %q names no host: give the one the others can reach", addr)
	}
	if port == "" || port == "0" {
		return fmt.Errorf("address %q has no fixed port", addr)
	}
	return nil
}
