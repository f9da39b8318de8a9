package nccl

import (
	"errors"
	"fmt"
)

// Error is what NCCL answered.
type Error struct {
	// Function is what was called.
	Function string
	// Code is the ncclResult_t, Text its meaning.
	Code int
	Text string
	// Last is the last error that NCCL recorded, "" if it has none.
	Last string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s (%d)", e.Function, e.Text, e.Code)
	if e.Last != "" {
		s += ": " + e.Last
	}
	return s
}

// Errors that those of this package have in their chain.
var (
	// ErrClosed is the cause after Close.
	ErrClosed = errors.New("group closed")
	// ErrStalled: an operation that all ranks had announced did not move for OpTimeout.
	ErrStalled = errors.New("no progress")
	// ErrMismatch: ranks call other operations, or the same with other counts.
	ErrMismatch = errors.New("ranks disagree")
	// ErrAbortHangs: NCCL did not come back from an abort in time. It may hold device and threads:
	// the process must end.
	ErrAbortHangs = errors.New("the abort of NCCL hangs: this process must end")

	errStopped = errors.New("communicator stopped")
	errBusy    = errors.New("another thread is inside of NCCL")
)
