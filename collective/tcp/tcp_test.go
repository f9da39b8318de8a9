package tcp

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opTimeout is the deadline of operations in tests that are not about deadlines.
const opTimeout = time.Minute

// open makes the groups of a world over loopback. addrs, if set, is asked for the address at which
// rank from dials rank to: a place for fault proxies.
func open(t testing.TB, world int, timeout time.Duration,
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
				OpTimeout: timeout,
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

func factory(t testing.TB, world int) []collective.Group {
	return asGroups(open(t, world, opTimeout, nil))
}

func TestContract(t *testing.T) { grouptest.Run(t, factory) }

func TestI3_OrderedSumIsTheSameBitsForEveryWorld(t *testing.T) { grouptest.OrderedSum(t, factory) }
