package tcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
)

// gather is an AllGather of n elements a rank.
func gather(g collective.Group, n int) collective.Handle {
	counts := slices.Repeat([]int{n}, g.Size())
	return g.AllGather(make([]float32, n*g.Size()), counts, make([]float32, n))
}

// blames checks that err is an abort with the given sentinel, from the given ranks.
func blames(err, sentinel error, ranks ...collective.Rank) error {
	var p *PeerError
	if !errors.Is(err, collective.ErrAborted) || !errors.Is(err, sentinel) || !errors.As(err, &p) {
		return fmt.Errorf("error %w, want %q", err, sentinel)
	}
	if !slices.Equal(p.Ranks, ranks) {
		return fmt.Errorf("%w: blames %v, want %v", err, p.Ranks, ranks)
	}
	return nil
}

// throughProxy opens a world in which rank 1 reaches rank 0 through a proxy.
func throughProxy(t *testing.T, world int, timeout time.Duration) ([]*Group, *proxy) {
	var p *proxy
	groups := open(t, world, timeout, func(from, to int, addr string) string {
		if from == 1 && to == 0 {
			p = newProxy(t, addr)
			return p.ln.Addr().String()
		}
		return addr
	})
	return groups, p
}

func TestPeerDeathIsNamedAtOnce(t *testing.T) { eitherWay(t, peerDeathIsNamedAtOnce) }

func peerDeathIsNamedAtOnce(t *testing.T, cfg Config) {
	groups := openWith(t, 4, cfg, nil)
	start := time.Now()
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		if g.Rank() == 2 { // dies: its sockets close without a word
			for p := range groups[2].others() {
				_ = p.conn.Close()
			}
			return nil
		}
		err := gather(g, 1<<20).Wait(ctx)
		if !errors.Is(err, collective.ErrAborted) || !strings.Contains(err.Error(), "rank 2") {
			return fmt.Errorf("error %v, want rank 2 named", err)
		}
		return nil
	})
	if took := time.Since(start); took > opTimeout/2 { // then a deadline did it
		t.Fatalf("it took %v", took)
	}
}

func TestPeerDeathIsSeenWithoutOperation(t *testing.T) { eitherWay(t, peerDeathIsSeenIdle) }

func peerDeathIsSeenIdle(t *testing.T, cfg Config) {
	groups := openWith(t, 3, cfg, nil)
	for p := range groups[1].others() {
		_ = p.conn.Close()
	}
	for _, g := range groups {
		select {
		case <-g.Dead():
		case <-time.After(opTimeout / 2):
			t.Fatalf("rank %d does not notice", g.Rank())
		}
	}
}

func TestAbortTellsPeersTheCause(t *testing.T) { eitherWay(t, abortTellsPeersTheCause) }

func abortTellsPeersTheCause(t *testing.T, cfg Config) {
	groups := openWith(t, 3, cfg, nil)
	groups[1].Abort(errors.New("the disk is full"))
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		err := g.Barrier(ctx)
		if g.Rank() != 1 {
			var p *PeerError // rank 1 itself, or the other one that heard it first
			if !errors.As(err, &p) || !errors.Is(err, ErrPeerAborted) {
				return err
			}
		}
		if !strings.Contains(err.Error(), "the disk is full") {
			return fmt.Errorf("%w does not name the cause", err)
		}
		return nil
	})
}

func TestCutConnectionMidOp(t *testing.T) {
	groups, proxy := throughProxy(t, 2, opTimeout)
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		var err error
		for i := 0; err == nil && i < 100; i++ {
			if i == 3 && g.Rank() == 0 {
				go proxy.cut()
			}
			err = gather(g, 1<<18).Wait(ctx)
		}
		return blames(err, ErrLost, 1-g.Rank())
	})
}

func TestCorruptByteIsNamed(t *testing.T) {
	const bytes = 4 << 18 // one operation
	for name, at := range map[string]int64{"payload": 5*bytes + 1000, "header": 0} {
		t.Run(name, func(t *testing.T) {
			groups, proxy := throughProxy(t, 2, opTimeout)
			if name == "header" { // rank 0's first frame follows its welcome
				welcome := message{kind: kindWelcome, hello: hello{run: "run-1", world: 2}}
				at = int64(len(welcome.encode())) + 20
			}
			proxy.flip.Store(at)
			grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
				var err error
				for i := 0; err == nil && i < 20; i++ {
					err = gather(g, bytes/4).Wait(ctx)
				}
				if g.Rank() == 0 { // hears it from rank 1, unless that was in mid-frame itself
					if blames(err, ErrLost, 1) == nil {
						return nil
					}
					return blames(err, ErrPeerAborted, 1)
				}
				if err := blames(err, ErrCorrupt, 0); err != nil {
					return err
				}
				if !strings.Contains(err.Error(), "operation") {
					return fmt.Errorf("%w: no operation named", err)
				}
				return nil
			})
		})
	}
}

// patiently runs f with a short deadline of operations, and with longer ones while that fails: on a
// starved machine the short ones may pass before a healthy rank has had its turn.
func patiently(t *testing.T, f func(t *testing.T, timeout time.Duration) error) {
	for timeout := 300 * time.Millisecond; ; timeout *= 4 {
		var err error
		t.Run(timeout.String(), func(t *testing.T) { err = f(t, timeout) })
		if err == nil || t.Failed() {
			return
		}
		if timeout > opTimeout/4 {
			t.Fatal(err)
		}
	}
}

func TestStalledConnectionMeetsTheDeadline(t *testing.T) {
	patiently(t, func(t *testing.T, timeout time.Duration) error {
		groups, proxy := throughProxy(t, 2, timeout)
		passed := make(chan struct{})
		return grouptest.Together(asGroups(groups), func(ctx context.Context, g collective.Group) error {
			if err := g.Barrier(ctx); err != nil {
				if g.Rank() == 1 {
					close(passed)
				}
				return err
			}
			if g.Rank() == 1 { // its barrier has come through
				close(passed)
			} else {
				<-passed
				close(proxy.stall)
			}
			start := time.Now()
			err := gather(g, 8<<20).Wait(ctx)
			if took := time.Since(start); took < timeout/2 || took > 20*timeout {
				return fmt.Errorf("it took %v: %w", took, err)
			}
			return blames(err, ErrStalled, 1-g.Rank())
		})
	})
}

func TestStalledRankIsNamedAlone(t *testing.T) {
	patiently(t, func(t *testing.T, timeout time.Duration) error {
		groups := open(t, 4, timeout, nil)
		others := make(chan struct{}, 3)
		return grouptest.Together(asGroups(groups), func(ctx context.Context, g collective.Group) error {
			if g.Rank() == 3 { // computes for too long, then finds the group dead
				for range 3 {
					<-others
				}
				var err error // the two operations that the others sent may still succeed
				for range 4 {
					err = errors.Join(err, gather(g, 1<<10).Wait(ctx))
				}
				if !errors.Is(err, collective.ErrAborted) {
					return fmt.Errorf("the late rank: error %v", err)
				}
				return nil
			}
			defer func() { others <- struct{}{} }()
			first := gather(g, 1<<10)
			second := gather(g, 1<<10)
			err := errors.Join(first.Wait(ctx), second.Wait(ctx))
			// A rank may hear it from another that was a moment faster; both name rank 3.
			if !errors.Is(err, collective.ErrAborted) ||
				!strings.Contains(err.Error(), "rank 3 in AllGather (operation 1): no progress") {
				return fmt.Errorf("error %v, want rank 3 in operation 1", err)
			}
			return nil
		})
	})
}

func TestSlowProgressIsNoStall(t *testing.T) {
	patiently(t, func(t *testing.T, timeout time.Duration) error {
		groups := open(t, 2, timeout, nil)
		start := time.Now()
		err := grouptest.Together(asGroups(groups), func(ctx context.Context, g collective.Group) error {
			// Waiting for nobody, longer than the deadline, is no stall either.
			idle, cancel := context.WithTimeout(ctx, 2*timeout)
			defer cancel()
			<-idle.Done()
			for range 5 {
				pause, cancel := context.WithTimeout(ctx, timeout/4)
				defer cancel()
				if g.Rank() == 1 {
					<-pause.Done()
				}
				if err := gather(g, 1000).Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && time.Since(start) < 3*timeout {
			t.Error("the test did not outlast the deadline")
		}
		return err
	})
}

func TestCloseIsNoDeath(t *testing.T) { eitherWay(t, closeIsNoDeath) }

func closeIsNoDeath(t *testing.T, cfg Config) {
	groups := openWith(t, 3, cfg, nil)
	rank0Closed := make(chan struct{})
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		me := groups[g.Rank()]
		h := gather(g, 1<<18)
		if g.Rank() == 0 {
			if err := h.Wait(ctx); err != nil {
				return err
			}
			close(rank0Closed)
			return me.Close()
		}
		<-rank0Closed
		if err := h.Wait(ctx); err != nil {
			return err
		}
		return me.Close()
	})
	for _, g := range groups {
		if err := g.Barrier(t.Context()); !errors.Is(err, ErrClosed) {
			t.Fatalf("rank %d after Close: %v", g.Rank(), err)
		}
		if err := g.Close(); err != nil {
			t.Fatalf("second Close: %v", err)
		}
	}
}

func TestOperationWithOneThatLeft(t *testing.T) { eitherWay(t, operationWithOneThatLeft) }

func operationWithOneThatLeft(t *testing.T, cfg Config) {
	groups := openWith(t, 2, cfg, nil)
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		if g.Rank() == 0 {
			return groups[0].Close()
		}
		return blames(g.Barrier(ctx), ErrLeft, 0)
	})
}
