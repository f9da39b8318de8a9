package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// MaxCommandBytes bounds one encoded command: an entry travels in one message and is held in memory
// by every member.
const MaxCommandBytes = 8 << 20

var (
	// ErrNotLeader: this member does not lead, and the command was not proposed.
	ErrNotLeader = errors.New("this coordinator is not the leader")
	// ErrUnknownOutcome: the command may have been, or may yet be, applied. Propose it again with
	// the same request id, at whoever leads.
	ErrUnknownOutcome = errors.New("outcome unknown: the command may have been applied")
	// ErrTooLarge: the command is above MaxCommandBytes and was not proposed.
	ErrTooLarge = errors.New("command too large")
)

// Propose replicates cmd and returns what the Machine answered to it, on this member, after a
// majority has it on disk. Errors: ErrNotLeader, ErrUnknownOutcome (the end of ctx included),
// ErrTooLarge. Safe for concurrent use; concurrent proposals share fsyncs.
func (c *Consensus) Propose(ctx context.Context, cmd *pb.Command) (*pb.ApplyResult, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(data) > MaxCommandBytes {
		return nil, fmt.Errorf("propose command: %w: %d bytes, at most %d",
			ErrTooLarge, len(data), MaxCommandBytes)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("propose command: nothing was proposed: %w", err)
	}
	if c.out() || !c.leading() {
		return nil, fmt.Errorf("propose command: %w", ErrNotLeader)
	}
	response := make(chan any, 1) // its own channel: a late answer must not race with this return
	err = c.await(ctx, func() error {
		f := c.raft.Apply(data, enqueueTime(ctx))
		if err := f.Error(); err != nil {
			return err
		}
		response <- f.Response()
		return nil
	})
	if err != nil {
		return nil, proposeError(err)
	}
	switch r := (<-response).(type) {
	case *pb.ApplyResult:
		return r, nil
	case error:
		return nil, fmt.Errorf("apply command: %w", r)
	default:
		return nil, fmt.Errorf("apply command: the state machine answered with %T", r)
	}
}

// proposeError sorts the reasons for having no answer. Two are known to precede the log; every
// other one is unknown, by default and on purpose.
func proposeError(err error) error {
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		return fmt.Errorf("propose command: %w", ErrNotLeader)
	}
	return fmt.Errorf("propose command: %w: %w", ErrUnknownOutcome, err)
}

// Verify makes a read linearizable (I7): read the Machine first, then call Verify; when it returns
// nil, what was read was current at some moment of this call or later. A majority has confirmed
// this member's leadership meanwhile, and its barrier had passed. A reader that may straddle a loss
// and regain of leadership compares IsLeader's epochs from before the read and after Verify.
// Errors: ErrNotLeader, or the end of ctx.
func (c *Consensus) Verify(ctx context.Context) error {
	epoch, ok := c.IsLeader()
	if !ok || c.out() {
		return fmt.Errorf("verify leadership: %w", ErrNotLeader)
	}
	err := c.await(ctx, func() error { return c.raft.VerifyLeader().Error() })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("verify leadership: %w", ctx.Err())
	}
	if now, ok := c.IsLeader(); err != nil || !ok || now != epoch {
		return fmt.Errorf("verify leadership: %w", ErrNotLeader)
	}
	return nil
}

// enqueueTime is how long a proposal may wait for raft's queue: without a deadline, for ever.
func enqueueTime(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end), time.Millisecond)
	}
	return 0
}
