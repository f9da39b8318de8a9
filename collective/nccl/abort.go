package nccl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// closeLinger is how long Close waits for peers to close too.
const closeLinger = 2 * time.Second

// Abort implements collective.Group: the first cause wins, every pending and future operation fails
// with it, and the control group tells it to the peers. It does not wait: NCCL is aborted behind.
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
	g.comm.Stop()
	close(g.aborted)
	g.control.Abort(cause)
	go g.tear()
}

// fail aborts the group because of an error of NCCL or of the device, unless the control group says
// before CauseTimeout what it was.
func (g *Group) fail(err error) {
	select {
	case <-g.aborted:
	case <-g.control.Dead():
		g.Abort(g.control.Err())
	case <-time.After(g.cfg.CauseTimeout):
		g.Abort(err)
	}
}

// Err is nil while the group lives, and otherwise the error that all its operations return. It has
// collective.ErrAborted in its chain.
func (g *Group) Err() error {
	g.abortMu.Lock()
	defer g.abortMu.Unlock()
	switch {
	case g.cause == nil:
		return nil
	case errors.Is(g.cause, collective.ErrAborted):
		return g.cause
	}
	return fmt.Errorf("%w: %w", collective.ErrAborted, g.cause)
}

// Dead is closed when the group dies or has closed, so that a rank that is computing can notice.
// One that is behind notices at the latest when it calls its next operation: see tcp.Group.Dead.
func (g *Group) Dead() <-chan struct{} { return g.aborted }

// tear aborts the communicator, and frees the staging buffers when nothing uses them any more.
func (g *Group) tear() {
	defer close(g.torn)
	defer g.giveUp()
	err := Abort(g.cfg.AbortTimeout, g.comm)
	if err != nil {
		g.giveUp()
	}
	// What was issued runs to its end now, and the goroutines with it, unless the device hangs.
	stop := time.AfterFunc(g.cfg.AbortTimeout, g.giveUp)
	defer stop.Stop()
	g.working.Wait()
	if err == nil {
		err = g.freeSlots()
	}
	if err != nil {
		g.cfg.Logger.Error().Err(err).AnErr("cause", g.Err()).Msg("abort of NCCL")
	}
	g.tearErr = err
}

// freeSlots waits for the slots' streams and gives their memory back.
func (g *Group) freeSlots() error {
	dev := g.cfg.Device
	for _, s := range g.slots {
		if s.done == nil {
			continue // it was never used
		}
		l := dev.NewList()
		defer l.Free()
		l.Record(s.stream, s.done)
		err := dev.Run(g.patient, l)
		if err == nil {
			err = dev.Wait(g.patient, s.done)
		}
		switch {
		case errors.Is(err, context.Canceled):
			return fmt.Errorf("%w: the device does not finish", ErrAbortHangs)
		case errors.Is(err, cuda.ErrFailed), errors.Is(err, cuda.ErrClosed):
			return nil // its memory is gone with it
		case err != nil:
			return err
		}
	}
	return freeSlots(g.patient, dev, g.slots)
}

// Close ends the group in good order. All operations must have been waited for; one that is still
// pending fails. Every rank calls Close at the end of its work: NCCL waits up to 2 s for the
// peers' Close, and the control group likewise. Close returns the cause if the group was dead
// before, and ErrAbortHangs if NCCL did not come back from its abort; operations after it fail
// with ErrClosed.
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
	if before == nil && first {
		return g.leave()
	}
	<-g.torn
	_ = g.control.Close() // it died with the group, or has closed before
	if errors.Is(before, ErrClosed) && pending == 0 {
		before = nil // closed before
	}
	return errors.Join(before, g.tearErr)
}

// leave is Close of a group that lives.
func (g *Group) leave() error {
	close(g.closing) // a peer that goes is no death any more
	ctx, cancel := context.WithTimeout(context.Background(), closeLinger)
	defer cancel()
	err := g.comm.Close(ctx, g.cfg.AbortTimeout)
	err = errors.Join(err, g.control.Close())
	g.Abort(ErrClosed)
	<-g.torn
	return errors.Join(err, g.tearErr)
}
