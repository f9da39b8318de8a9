package tcp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/collective"
)

// PeerError is the cause of an abort that peers brought about: they died, stalled, or sent what
// does not fit. Get it with errors.As.
type PeerError struct {
	// Ranks are the peers at fault, in order; at least one.
	Ranks []collective.Rank
	// Op is the name of the operation that suffered, "" if this rank has not called it yet.
	Op string
	// Seq is the number of that operation in the group, from 1: without Op, of the next one.
	Seq uint64
	// Err says what happened.
	Err error
}

// Errors that Err of a PeerError may have in its chain.
var (
	// ErrLost: the connection ended. The peer's process is dead, or the network is.
	ErrLost = errors.New("connection lost")
	// ErrStalled: no byte came or went for Config.OpTimeout.
	ErrStalled = errors.New("no progress")
	// ErrCorrupt: a frame failed its checksum or is malformed.
	ErrCorrupt = errors.New("corrupt frame")
	// ErrMismatch: the peer calls another operation, or the same with other counts.
	ErrMismatch = errors.New("ranks disagree")
	// ErrPeerAborted: the peer's group died first; the text is its cause.
	ErrPeerAborted = errors.New("aborted by peer")
	// ErrLeft: the peer has closed its group and takes no part in this operation.
	ErrLeft = errors.New("peer has left")
)

// errTake is in the chain when the caller of AllToAllFunc refused a piece.
var errTake = errors.New("piece refused")

// ErrClosed is the cause after Close.
var ErrClosed = errors.New("group closed")

func (e *PeerError) Error() string {
	var b strings.Builder
	for i, r := range e.Ranks {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "rank %d", r)
	}
	if e.Op != "" {
		fmt.Fprintf(&b, " in %s (operation %d)", e.Op, e.Seq)
	} else {
		fmt.Fprintf(&b, " before operation %d", e.Seq)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns what happened.
func (e *PeerError) Unwrap() error { return e.Err }
