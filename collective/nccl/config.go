package nccl

import (
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// Defaults of Config, and of Join whose ctx has no deadline.
const (
	DefaultOpTimeout    = 60 * time.Second
	DefaultAbortTimeout = 5 * time.Second
	DefaultJoinTimeout  = 2 * time.Minute
	DefaultCauseTimeout = time.Second
	// DefaultStaging is the size of one staging buffer, in bytes. A Group has four of them in
	// pinned memory and four on the device: two slots, each with what it sends and receives. A world
	// of more than 64 ranks takes more, as it must hold a piece for each.
	DefaultStaging = 8 << 20
)

// Control is a group of the same ranks on the host, over which a Group of this package agrees. It
// has its own watch for ranks that do not come. tcp.Group is one.
type Control interface {
	collective.Group
	// Dead is closed when the group has died or closed; Err then says why.
	Dead() <-chan struct{}
	Err() error
}

// Config says what a Group is made of.
type Config struct {
	Library *Library
	// Device is the caller's, and must outlive the Group.
	Device *cuda.Device
	// Control belongs to the Group from Join on: the Group aborts and closes it.
	Control Control
	// OpTimeout is how long an operation that all ranks have called may make no progress before the
	// group is aborted. Zero means DefaultOpTimeout.
	OpTimeout time.Duration
	// AbortTimeout is how long NCCL may take over an abort. Zero means DefaultAbortTimeout.
	AbortTimeout time.Duration
	// CauseTimeout is how long an error of NCCL or of the device waits for the control group to say
	// what it was: a peer that aborts or dies is such an error too. Zero means DefaultCauseTimeout.
	CauseTimeout time.Duration
	// Staging is the size of one staging buffer in bytes, the same on all ranks. Zero means
	// DefaultStaging.
	Staging int
	// Logger gets the death of the group. The zero value logs nothing.
	Logger zerolog.Logger
}

// minPart is the least that a staging buffer must have for each rank, in bytes.
const minPart = 4 * collective.PieceElements

// Validate reports the first field that cannot be used.
func (c *Config) Validate() error {
	switch {
	case c.Library == nil || c.Device == nil || c.Control == nil:
		return errors.New("check nccl config: Library, Device and Control must be set")
	case min(c.OpTimeout, c.AbortTimeout, c.CauseTimeout) < 0:
		return fmt.Errorf("check nccl config: OpTimeout %v, AbortTimeout %v and CauseTimeout %v: one "+
			"is below zero", c.OpTimeout, c.AbortTimeout, c.CauseTimeout)
	case c.Staging != 0 && c.Staging < minPart*c.Control.Size():
		return fmt.Errorf("check nccl config: Staging of %d bytes, wants %d for each of %d ranks",
			c.Staging, minPart, c.Control.Size())
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.OpTimeout == 0 {
		c.OpTimeout = DefaultOpTimeout
	}
	if c.AbortTimeout == 0 {
		c.AbortTimeout = DefaultAbortTimeout
	}
	if c.CauseTimeout == 0 {
		c.CauseTimeout = DefaultCauseTimeout
	}
	if c.Staging == 0 {
		c.Staging = max(DefaultStaging, minPart*c.Control.Size())
	}
}
