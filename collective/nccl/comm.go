package nccl

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/cuda"
)

// Comm is a communicator of NCCL: it moves memory of devices. Its operations are commands in the
// lists of its device (NewCall); all ranks must issue the same, in the same order.
type Comm struct {
	lib        *Library
	dev        *cuda.Device
	c          *C.nccl_comm
	rank, size int
}

// The pauses between two looks at something that NCCL does in the background.
const shortestPoll, longestPoll = 100 * time.Microsecond, 10 * time.Millisecond

// Connect makes a communicator of size ranks, all of which connect with the same id. It returns
// when all have. If ctx ends before, what has begun is aborted, which has patience to come back.
func (l *Library) Connect(ctx context.Context, dev *cuda.Device, id ID, rank, size int,
	patience time.Duration) (*Comm, error) {
	c := &Comm{lib: l, dev: dev, c: C.nccl_comm_new(l.table), rank: rank, size: size}
	if c.c == nil {
		return nil, errors.New("connect NCCL: out of memory")
	}
	err := c.begin(ctx, id)
	if err == nil {
		err = c.await(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not all ranks have reached each other: %w", err)
		}
		return nil, errors.Join(fmt.Errorf("connect NCCL: %w", err), Abort(patience, c))
	}
	return c, nil
}

// begin starts to connect, on the device's thread.
func (c *Comm) begin(ctx context.Context, id ID) error {
	return c.dev.Do(ctx, func() error {
		return c.lib.check("ncclCommInitRankConfig", c.c, C.nccl_init(c.c, C.int(c.size),
			(*C.ncclUniqueId)(unsafe.Pointer(&id)), C.int(c.rank)))
	})
}

// await waits until NCCL has done what it does in the background.
func (c *Comm) await(ctx context.Context) error {
	for pause := shortestPoll; ; pause = min(pause*2, longestPoll) {
		if done, err := c.Poll(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Poll looks whether something went wrong since, in the network or on a peer. idle is false while
// NCCL is at work on a call, also one of another thread.
func (c *Comm) Poll() (idle bool, err error) {
	switch r := C.nccl_poll(c.c); r {
	case C.ncclInProgress, C.NCCL_BUSY:
		return false, nil
	default:
		return true, c.lib.check("ncclCommGetAsyncError", c.c, r)
	}
}

// Rank and Size are as given to Connect.
func (c *Comm) Rank() int { return c.rank }
func (c *Comm) Size() int { return c.size }

// Close ends the communicator in good order: it waits for all operations, here and on the peers,
// which must close too. If that does not work until ctx ends, the communicator is aborted; only
// an abort that fails is an error.
func (c *Comm) Close(ctx context.Context, patience time.Duration) error {
	err := c.inBackground(ctx, func() error {
		return c.lib.check("ncclCommFinalize", c.c, C.nccl_finalize(c.c))
	})
	if err == nil {
		err = c.await(ctx)
	}
	if err == nil {
		err = c.inBackground(ctx, func() error {
			return c.lib.check("ncclCommDestroy", c.c, C.nccl_destroy(c.c))
		})
	}
	if err == nil || errors.Is(err, errStopped) {
		return nil
	}
	return Abort(patience, c)
}

// inBackground runs fn on a thread with the device's context, and gives up when ctx ends.
func (c *Comm) inBackground(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- c.dev.Bind(fn) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop makes every call that waits inside of the communicator return, and every later one fail. An
// abort must follow.
func (c *Comm) Stop() { C.nccl_comm_stop(c.c) }

// Abort ends communicators of one process, whatever they do: all in one group, since NCCL may wait
// for the device in the abort of one while the operation of another hangs on it. It fails with
// ErrAbortHangs when NCCL has not come back after patience.
func Abort(patience time.Duration, comms ...*Comm) error {
	if len(comms) == 0 {
		return nil
	}
	for _, c := range comms {
		c.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	first := comms[0]
	err := first.inBackground(ctx, func() error { return abort(ctx, comms) })
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: not back after %v", ErrAbortHangs, patience)
	}
	return err
}

// abort runs on a thread of its own. It waits until nobody is inside of NCCL: a call that looks at
// the flag comes out at once.
func abort(ctx context.Context, comms []*Comm) error {
	list := make([]*C.nccl_comm, 0, len(comms))
	for _, c := range comms {
		for C.nccl_lock(c.c) != C.ncclSuccess {
			select {
			case <-ctx.Done():
				// The locks stay taken: nobody is to get in any more.
				return fmt.Errorf("%w: %w", errBusy, ctx.Err())
			case <-time.After(shortestPoll):
			}
		}
		list = append(list, c.c)
	}
	return comms[0].lib.check("ncclCommAbort", nil, C.nccl_abort(&list[0], C.int(len(list))))
}
