package nccl

import (
	"context"
	"fmt"
	"time"
)

const (
	// ticksPerTimeout is how often the watch looks during one OpTimeout, at least.
	ticksPerTimeout = 16
	// longestTick is how late the news of an asynchronous error may be.
	longestTick = 100 * time.Millisecond
)

// watch aborts the group when NCCL reports an error, when the control group dies, and when an
// operation that all ranks have announced does not move. It counts its own ticks rather than the
// time: a process that was stopped and goes on sees one tick.
func (g *Group) watch() {
	every := max(min(g.cfg.OpTimeout/ticksPerTimeout, longestTick), time.Millisecond)
	limit := int(g.cfg.OpTimeout / every)
	tick := time.NewTicker(every)
	defer tick.Stop()
	idle, moved, head := 0, uint64(0), uint64(0)
	for {
		select {
		case <-g.aborted:
			return
		case <-g.closing:
			return
		case <-g.control.Dead():
			g.Abort(g.control.Err())
			return
		case <-tick.C:
		}
		if _, err := g.comm.Poll(); err != nil {
			g.fail(err)
			return
		}
		o := g.oldest()
		if now := g.moved.Load(); o == nil || !o.agreed.Load() || o.seq != head || now != moved {
			if o != nil {
				head = o.seq
			}
			idle, moved = 0, now
			continue
		}
		if idle++; idle > limit {
			g.Abort(fmt.Errorf("%v: %w for %v, though all ranks have called it", o, ErrStalled,
				g.cfg.OpTimeout))
			return
		}
	}
}

// joinContext is ctx, and ends too when the control group dies.
func joinContext(ctx context.Context, control Control) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-control.Dead():
			cancel(control.Err())
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel(nil) }
}
