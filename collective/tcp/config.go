package tcp

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/collective"
)

// Limits of this backend.
const (
	// DefaultOpTimeout is used when Config.OpTimeout is zero.
	DefaultOpTimeout = 60 * time.Second
	// DefaultJoinTimeout bounds a Join whose ctx has no deadline.
	DefaultJoinTimeout = 2 * time.Minute
	// MaxBytesVector is the longest vector AllGatherBytes takes, in bytes.
	MaxBytesVector = 16 << 20
	// maxRun is the longest run id, in bytes.
	maxRun = 256
	// maxWorld bounds the world, so that a hostile hello cannot name an absurd one.
	maxWorld = 1 << 16
)

// Config says which group to join, and as whom.
type Config struct {
	// Run and Generation name the group. Peers of another run or generation are refused.
	Run        string
	Generation uint64
	// Rank is this process's place in Peers.
	Rank collective.Rank
	// Peers holds the listen address (host:port) of every rank, by rank. Its length is the world.
	// The own entry and those of higher ranks are not dialed and may be empty.
	Peers []string
	// OpTimeout is how long an operation may make no progress before the group is aborted.
	// Zero means DefaultOpTimeout. It must exceed the skew between ranks (the longest time that
	// one computes while another waits for it).
	OpTimeout time.Duration
	// OnlySockets has the ranks of this host, too, dialed by TCP, as those of others are. For
	// measurements and tests.
	OnlySockets bool
	// Logger gets refused and failed connections. The zero value logs nothing.
	Logger zerolog.Logger
}

// Validate reports the first field that cannot be used.
func (c *Config) Validate() error {
	world := len(c.Peers)
	switch {
	case c.Run == "" || len(c.Run) > maxRun:
		return fmt.Errorf("check tcp config: Run has %d bytes, wants 1 to %d", len(c.Run), maxRun)
	case world < 1 || world > maxWorld:
		return fmt.Errorf("check tcp config: %d Peers, wants 1 to %d", world, maxWorld)
	case c.Rank < 0 || int(c.Rank) >= world:
		return fmt.Errorf("check tcp config: Rank %d is outside the world of %d", c.Rank, world)
	case c.OpTimeout < 0:
		return fmt.Errorf("check tcp config: OpTimeout %v is negative", c.OpTimeout)
	}
	for r, addr := range c.Peers[:c.Rank] {
		if addr == "" {
			return fmt.Errorf("check tcp config: no address for rank %d in Peers", r)
		}
	}
	return nil
}

func (c *Config) opTimeout() time.Duration {
	if c.OpTimeout == 0 {
		return DefaultOpTimeout
	}
	return c.OpTimeout
}
