package tcp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
	"github.com/banyan-train/banyan/internal/testkit"
)

// listen opens n listeners.
func listen(t *testing.T, n int) (ls []*Listener, addrs []string) {
	t.Helper()
	for range n {
		l, err := Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		ls, addrs = append(ls, l), append(addrs, l.Addr())
	}
	return ls, addrs
}

// TestI13_StrangersAreRefused lets every kind of stranger knock at rank 0 while it waits for rank
// 1; each is refused with its reason, and then rank 1 joins.
func TestI13_StrangersAreRefused(t *testing.T) {
	ls, addrs := listen(t, 2)
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	var log testkit.Output
	base := Config{Run: "run-1", Generation: 3, Rank: 1, Peers: addrs}
	zero := base
	zero.Rank, zero.Logger = 0, zerolog.New(&log)
	var all errgroup.Group
	groups := make([]*Group, 2)
	all.Go(func() (err error) {
		groups[0], err = ls[0].Join(ctx, zero)
		return err
	})
	for name, c := range map[string]struct {
		change func(*Config)
		reason string
	}{
		"stale": {func(c *Config) { c.Generation = 2 }, "stale generation: this is generation 3"},
		"newer": {func(c *Config) { c.Generation = 4 }, "the newer 4"},
		"run":   {func(c *Config) { c.Run = "run-2" }, `this is run "run-1"`},
		"world": {func(c *Config) { c.Peers = append(c.Peers[:2:2], addrs[0]) }, "has 2 ranks"},
	} {
		cfg := base
		c.change(&cfg)
		l, err := Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		g, err := l.Join(ctx, cfg)
		if g != nil || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want %q", name, err, c.reason)
		}
		if !strings.Contains(log.String(), strings.ReplaceAll(c.reason, `"`, `\"`)) {
			t.Errorf("%s: rank 0 does not log %q:\n%s", name, c.reason, log.String())
		}
	}
	all.Go(func() (err error) {
		groups[1], err = ls[1].Join(ctx, base)
		return err
	})
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(groups) })
	late, err := Listen("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Join(ctx, base); !errors.Is(err, ErrRefused) ||
		!strings.Contains(err.Error(), "already connected") {
		t.Errorf("second rank 1: %v", err)
	}
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		return g.Barrier(ctx)
	})
}

// TestI13_GarbageDoesNotHurt knocks with noise before, while and after the ranks meet.
func TestI13_GarbageDoesNotHurt(t *testing.T) {
	ls, addrs := listen(t, 2)
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	hugeLength := (&message{kind: kindHello, hello: hello{run: "r", world: 1}}).encode()
	hugeLength[15] = 0xff
	noise := [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), {}, {0}, hugeLength,
		bytes.Repeat([]byte{0xff}, 1<<16), []byte(magic),
		append([]byte(magic), 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	}
	doors := map[string]string{"tcp": addrs[0]}
	if twin := ls[0].twin; twin != nil {
		doors["unix"] = twin.Addr().String()
	}
	knock := func() {
		for _, b := range noise {
			for network, addr := range doors {
				conn, err := net.Dial(network, addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() }) // stays open: the listener must not mind
				_, _ = conn.Write(b)
			}
		}
	}
	knock()
	groups := make([]*Group, 2)
	var all errgroup.Group
	for r := range groups {
		all.Go(func() (err error) {
			groups[r], err = ls[r].Join(ctx, Config{
				Run: "run-1", Generation: 3, Rank: collective.Rank(r), Peers: addrs,
			})
			return err
		})
		knock()
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	knock()
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		return gather(g, 1<<16).Wait(ctx)
	})
	closeAll(groups) // must not wait for the silent ones
}

func TestOtherVersionIsToldWhy(t *testing.T) {
	ls, addrs := listen(t, 2)
	ctx, cancel := context.WithCancel(context.Background())
	var all errgroup.Group
	all.Go(func() error {
		_, err := ls[0].Join(ctx, Config{Run: "r", Generation: 1, Peers: addrs})
		return err
	})
	conn, err := net.Dial("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	future := (&message{kind: kindHello, hello: hello{run: "r", world: 2}}).encode()
	future[8] = version + 1
	future = append(future[:len(future)-4], 0, 0, 0, 0)
	fixSum(future)
	if _, err := conn.Write(future); err != nil {
		t.Fatal(err)
	}
	answer, err := readMessage(conn)
	if err != nil || !strings.Contains(answer.reason, "protocol version 5, this is 4") {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	cancel()
	err = all.Wait()
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "missing rank 1") {
		t.Fatalf("join ended with %v", err)
	}
}

func TestJoinNamesMissingRanks(t *testing.T) {
	ls, addrs := listen(t, 4)
	dead := ls[0]
	_ = dead.Close()
	// Long enough that a starved machine, too, has dialed rank 0.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := ls[2].Join(ctx, Config{Run: "r", Generation: 1, Rank: 2, Peers: addrs})
	for _, want := range []string{"rank 0 (dial", "rank 1 at " + addrs[1], "rank 3 (it has not"} {
		if err == nil || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := ls[2].Join(context.Background(), Config{Run: "r", Peers: addrs}); err == nil {
		t.Error("a second Join is taken")
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{Run: "r", Rank: 1, Peers: []string{"a:1", ""}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"Run has 0":       func(c *Config) { c.Run = "" },
		"Run has 300":     func(c *Config) { c.Run = strings.Repeat("x", 300) },
		"0 Peers":         func(c *Config) { c.Peers = nil },
		"outside the":     func(c *Config) { c.Rank = 2 },
		"Rank -1":         func(c *Config) { c.Rank = -1 },
		"is negative":     func(c *Config) { c.OpTimeout = -1 },
		"no address for":  func(c *Config) { c.Peers = []string{"", ""} },
		"wants 1 to 6553": func(c *Config) { c.Peers = make([]string, maxWorld+1) },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestTwinThatFailsIsPassedBy: where memory cannot be shared after all, ranks of one host are as
// far apart as those of others.
func TestTwinThatFailsIsPassedBy(t *testing.T) {
	ls, addrs := listen(t, 2)
	if ls[0].twin == nil {
		t.Skip("ranks share no memory here")
	}
	name := ls[0].twin.Addr().String()
	_ = ls[0].twin.Close()
	broken, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broken.Close() }()
	ls[0].twin = nil
	tried := make(chan int, 1)
	go func() {
		n := 0
		for {
			conn, err := broken.Accept()
			if err != nil {
				tried <- n
				return
			}
			n++
			_ = conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	groups := make([]*Group, 2)
	var all errgroup.Group
	for r := range groups {
		all.Go(func() (err error) {
			groups[r], err = ls[r].Join(ctx, Config{Run: "run-1", Generation: 3,
				Rank: collective.Rank(r), Peers: addrs})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(groups) })
	grouptest.Each(t, asGroups(groups), func(ctx context.Context, g collective.Group) error {
		return gather(g, 1<<16).Wait(ctx)
	})
	_ = broken.Close()
	if n := <-tried; n == 0 {
		t.Error("nobody tried the twin: the test shows nothing")
	}
	if _, ok := groups[1].peers[0].conn.(*net.TCPConn); !ok {
		t.Errorf("rank 1 reaches rank 0 by %T", groups[1].peers[0].conn)
	}
}
