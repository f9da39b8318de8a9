package tcp

import (
	"errors"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/collective"
)

// closeLinger is how long Close waits for peers to close too.
const closeLinger = 2 * time.Second

// cutTime is how long a frame that is half sent at an abort may take to get out.
const cutTime = 100 * time.Millisecond

// Abort implements collective.Group: the first cause wins, every pending and future operation
// fails with it, and peers are told it as far as their sockets take it at once. It does not wait.
func (g *Group) Abort(cause error) {
	if cause == nil {
		cause = errors.New("no cause given")
	}
	g.abortMu.Lock()
	defer g.abortMu.Unlock()
	if g.cause != nil {
		return
	}
	g.cause = cause
	for p := range g.others() {
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
		_ = p.conn.SetWriteDeadline(time.Now().Add(cutTime))
	}
	close(g.aborted) // after the deadlines: goodbye sets a later one
}

func (g *Group) isAborted() bool {
	select {
	case <-g.aborted:
		return true
	default:
		return false
	}
}

// reason is the cause of the abort as given, nil while the group lives.
func (g *Group) reason() error {
	g.abortMu.Lock()
	defer g.abortMu.Unlock()
	return g.cause
}

// Err is nil while the group lives, and otherwise the error that all its operations return. It has
// collective.ErrAborted in its chain.
func (g *Group) Err() error {
	cause := g.reason()
	if cause == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", collective.ErrAborted, cause)
}

// Dead is closed when the group dies or has closed, so that a rank that is computing can notice.
// A rank that is behind (a peer has sent data of an operation that it has not posted yet) reads no
// further, and notices the death of that peer when it posts the operation.
func (g *Group) Dead() <-chan struct{} { return g.aborted }

// Close ends the group in good order. All operations must have been waited for; one that is still
// pending fails. Every rank calls Close at the end of its work: it tells the peers that the end of
// the connection is not a death, and lingers (up to 2 s) until they close as well. A process that
// exits without Close is a death to its peers. Close returns the cause if the group was dead
// before; operations after it fail with ErrClosed.
func (g *Group) Close() error {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	pending := len(g.pending)
	g.mu.Unlock()
	if pending > 0 {
		g.Abort(fmt.Errorf("%w with %d operations pending", ErrClosed, pending))
	}
	before := g.Err()
	if first {
		g.linger()
		close(g.closing)
	}
	<-g.drained
	g.Abort(ErrClosed)
	if errors.Is(before, ErrClosed) && pending == 0 {
		return nil // closed before
	}
	return before
}

// linger bounds what the goroutines may still wait for.
func (g *Group) linger() {
	g.abortMu.Lock()
	defer g.abortMu.Unlock()
	if g.cause != nil {
		return // Abort has set nearer deadlines
	}
	for p := range g.others() {
		_ = p.conn.SetDeadline(time.Now().Add(closeLinger))
	}
}
