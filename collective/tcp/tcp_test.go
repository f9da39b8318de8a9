package tcp

import (
	"context"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
	"github.com/banyan-train/banyan/collective/shm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opTimeout is the deadline of operations in tests that are not about deadlines.
const opTimeout = time.Minute

// open makes the groups of a world on this host. via, if set, is asked for the address at which
// rank from dials rank to: a place for fault proxies.
func open(t testing.TB, world int, timeout time.Duration,
	via func(from, to int, addr string) string) []*Group {
	t.Helper()
	return openWith(t, world, Config{OpTimeout: timeout}, via)
}

// openWith is open with what cfg says of timeout and sockets.
func openWith(t testing.TB, world int, cfg Config,
	via func(from, to int, addr string) string) []*Group {
	t.Helper()
	listeners := make([]*Listener, world)
	for r := range listeners {
		l, err := Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		listeners[r] = l
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	groups := make([]*Group, world)
	var all errgroup.Group
	for r := range world {
		peers := make([]string, world)
		for to, l := range listeners {
			if peers[to] = l.Addr(); via != nil {
				peers[to] = via(r, to, l.Addr())
			}
		}
		all.Go(func() (err error) {
			groups[r], err = listeners[r].Join(ctx, Config{
				Run: "run-1", Generation: 3, Rank: collective.Rank(r), Peers: peers,
				OpTimeout: cfg.OpTimeout, OnlySockets: cfg.OnlySockets,
			})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(groups) })
	return groups
}

func closeAll(groups []*Group) {
	var all errgroup.Group
	for _, g := range groups {
		all.Go(g.Close)
	}
	_ = all.Wait() // a test that killed a group does not care how it ended
}

// asGroups changes the type only.
func asGroups(groups []*Group) []collective.Group {
	out := make([]collective.Group, len(groups))
	for i, g := range groups {
		out[i] = g
	}
	return out
}

// eitherWay runs f with ranks that share memory, as those of one host do, and with ranks that are
// connected as those of several hosts are.
func eitherWay(t *testing.T, f func(t *testing.T, cfg Config)) {
	for name, only := range map[string]bool{"memory": false, "sockets": true} {
		t.Run(name, func(t *testing.T) { f(t, Config{OpTimeout: opTimeout, OnlySockets: only}) })
	}
}

// factory makes groups for a suite.
func factory(cfg Config) grouptest.Factory {
	return func(t testing.TB, world int) []collective.Group {
		return asGroups(openWith(t, world, cfg, nil))
	}
}

func TestContract(t *testing.T) {
	eitherWay(t, func(t *testing.T, cfg Config) { grouptest.Run(t, factory(cfg)) })
}

func TestI3_OrderedSumIsTheSameBitsForEveryWorld(t *testing.T) {
	eitherWay(t, func(t *testing.T, cfg Config) { grouptest.OrderedSum(t, factory(cfg)) })
}

// TestRanksOfOneHostShareMemory, unless there is something between them or nobody wants it.
func TestRanksOfOneHostShareMemory(t *testing.T) {
	shares := func(p *peer) bool {
		_, ok := p.conn.(*shm.Conn)
		return ok
	}
	for _, g := range open(t, 3, opTimeout, nil) {
		for p := range g.others() {
			if shares(p) != (runtime.GOOS == "linux") {
				t.Errorf("rank %d reaches rank %d by %T", g.self, p.rank, p.conn)
			}
		}
	}
	for _, g := range openWith(t, 2, Config{OpTimeout: opTimeout, OnlySockets: true}, nil) {
		if p := g.peers[1-g.self]; shares(p) {
			t.Errorf("OnlySockets: rank %d reaches rank %d by %T", g.self, p.rank, p.conn)
		}
	}
	groups, _ := throughProxy(t, 2, opTimeout)
	if p := groups[0].peers[1]; shares(p) {
		t.Errorf("proxy: rank 0 reaches rank 1 by %T", p.conn)
	}
}
