package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// With the default timeouts: what a user sees when a leader's process dies under load.
func TestI5LeaderKilled(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLease = 0, 0, 0
	})
	id, leader := g.leader()
	first, _ := leader.IsLeader()

	var mu sync.Mutex
	var acked []string
	var clients sync.WaitGroup
	for w := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				if err := proposeOn(leader, name); err != nil {
					return
				}
				mu.Lock()
				acked = append(acked, name)
				mu.Unlock()
			}
		})
	}
	eventually(t, "50 acknowledged proposals", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) >= 50
	})
	killed := time.Now()
	g.kill(id)
	clients.Wait()
	g.propose("after")
	t.Logf("kill of the leader to the next committed proposal: %v", time.Since(killed))

	next, now := g.leader()
	if next == id {
		t.Fatalf("dead member %s leads", id)
	}
	if epoch, _ := now.IsLeader(); epoch <= first {
		t.Errorf("epoch %d after %d", epoch, first)
	}
	g.sameState()
	for _, name := range acked {
		if !g.tapes[next].has(name) {
			t.Errorf("acknowledged %s is lost", name)
		}
	}
}

func TestI6RestartAndSnapshotGiveSameBytes(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) { c.TrailingLogs = 5 })
	for i := range 40 {
		g.propose(fmt.Sprintf("before-%d", i))
	}
	for _, c := range g.live {
		if err := c.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		g.propose(fmt.Sprintf("behind-%d", i))
	}
	want := g.sameState()
	for _, m := range g.members {
		g.kill(m.ID)
	}
	for _, m := range g.members {
		g.start(m.ID)
	}
	g.leader()
	if got := g.sameState(); !bytes.Equal(got, want) {
		t.Errorf("state after restart: %d bytes, before: %d, or other ones", len(got), len(want))
	}
}

func TestI6LateMemberGetsSnapshot(t *testing.T) {
	g := newGroup(t, 3, func(c *Config) { c.TrailingLogs = 1 })
	g.start("c0")
	g.start("c1")
	for i := range 20 {
		g.propose(fmt.Sprint(i))
	}
	for _, c := range g.live {
		if err := c.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	g.propose("tail")
	g.start("c2")
	g.sameState()
	// Entry 1, the group's first members, it wrote itself.
	if err := g.live["c2"].store.GetLog(5, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("entry 5 at the late member: %v: it came by the log, not by snapshot", err)
	}
}

func TestUnknownOutcomeWhenMajorityIsLost(t *testing.T) {
	g := startGroup(t, 3, nil)
	id, leader := g.leader()
	for _, m := range g.members {
		if m.ID != id {
			g.kill(m.ID)
		}
	}
	err := proposeOn(leader, "alone")
	if !errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrNotLeader) {
		t.Fatalf("got %v, want ErrUnknownOutcome", err)
	}
	eventually(t, "loss of leadership", func() bool { _, ok := leader.IsLeader(); return !ok })
	if err := proposeOn(leader, "later"); !errors.Is(err, ErrNotLeader) {
		t.Errorf("got %v, want ErrNotLeader", err)
	}
	for _, m := range g.members {
		if m.ID != id {
			g.start(m.ID)
		}
	}
	g.propose("alone") // retried with its request id
	if bytes.Count(g.sameState(), []byte("later")) != 0 {
		t.Error("a proposal refused by ErrNotLeader was applied")
	}
}

func TestProposeContext(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) { c.LeaderLease = c.HeartbeatTimeout })
	id, leader := g.leader()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := leader.Propose(ctx, command("x")); errors.Is(err, ErrUnknownOutcome) ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("ended before: got %v, want context.Canceled, outcome known", err)
	}
	for _, m := range g.members {
		if m.ID != id {
			g.kill(m.ID)
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := leader.Propose(ctx, command("y")); !errors.Is(err, ErrUnknownOutcome) ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended meanwhile: got %v, want ErrUnknownOutcome and the deadline", err)
	}
	big := command(strings.Repeat("x", MaxCommandBytes))
	if _, err := leader.Propose(context.Background(), big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large command: got %v, want ErrTooLarge", err)
	}
}

func TestI7VerifyNeedsMajority(t *testing.T) {
	g := startGroup(t, 3, nil)
	id, leader := g.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := leader.Verify(ctx); err != nil {
		t.Fatalf("leader: %v", err)
	}
	for name, c := range g.live {
		if name == id {
			continue
		}
		if err := c.Verify(ctx); !errors.Is(err, ErrNotLeader) {
			t.Errorf("follower %s: got %v, want ErrNotLeader", name, err)
		}
		if who, ok := c.Leader(); !ok || who != id {
			t.Errorf("follower %s knows leader %q, %v; want %s", name, who, ok, id)
		}
		if err := proposeOn(c, "no"); !errors.Is(err, ErrNotLeader) {
			t.Errorf("propose at follower %s: got %v, want ErrNotLeader", name, err)
		}
	}
	for _, m := range g.members {
		if m.ID != id {
			g.kill(m.ID)
		}
	}
	// Each of the two may have died with one answer to a heartbeat on its way.
	err := leader.Verify(ctx)
	for late := 0; err == nil && late < 2; late++ {
		err = leader.Verify(ctx)
	}
	if !errors.Is(err, ErrNotLeader) {
		t.Errorf("leader alone: got %v, want ErrNotLeader", err)
	}
}

// Everything committed before a leadership is applied when it is announced, also after a restart,
// when the log is replayed.
func TestLeadershipIsAnnouncedAfterBarrier(t *testing.T) {
	g := startGroup(t, 1, nil)
	for i := range 100 {
		g.propose(fmt.Sprint(i))
	}
	want := g.sameState()
	g.kill("c0")
	c := g.start("c0")
	select {
	case l := <-c.LeaderCh():
		if !l.Leader || l.Epoch == 0 {
			t.Fatalf("first announcement %+v", l)
		}
	case <-time.After(patience):
		t.Fatal("no announcement")
	}
	if !bytes.Equal(g.tapes["c0"].state(), want) {
		t.Error("announced before everything was applied")
	}
	g.kill("c0")
	last, open := <-c.LeaderCh()
	if !open || last.Leader {
		t.Errorf("after Close: %+v, open %v; want an end of leadership", last, open)
	}
	if _, open := <-c.LeaderCh(); open {
		t.Error("channel still open after Close")
	}
}

func TestCloseHandsLeadershipOver(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) {
		// So slow that a hand-over is told from an election.
		c.HeartbeatTimeout, c.ElectionTimeout = 2*time.Second, 2*time.Second
	})
	id, leader := g.leader()
	begin := time.Now()
	if err := leader.Close(); err != nil {
		t.Fatal(err)
	}
	delete(g.live, id)
	g.propose("next")
	if d := time.Since(begin); d >= 2*time.Second {
		t.Errorf("next leader after %v: elected, not handed over", d)
	}
}

func TestStartRefusesOtherMembers(t *testing.T) {
	g := startGroup(t, 1, nil)
	g.leader()
	g.kill("c0")
	cfg := g.config("c0")
	cfg.Members = append(cfg.Members, Member{ID: "c9", RaftAddr: "127.0.0.1:1"})
	c, err := Start(cfg, newTape())
	if err == nil {
		_ = c.Close()
		t.Fatal("started with other members than the directory's")
	}
	if !strings.Contains(err.Error(), "c0, c9") || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("error does not name members and directory: %v", err)
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	err := Config{
		ID: "a", Members: []Member{{"b", "0.0.0.0:1"}, {"b", "nowhere"}, {"", "h:0"}},
		HeartbeatTimeout: time.Millisecond, LeaderLease: time.Second,
	}.Validate()
	for _, want := range []string{
		"dir is empty", "no Fatal", "bind is empty", `"b" is there twice`, "names no host",
		`"nowhere"`, "members[2] has no id", "no fixed port", "not among the 3", "leader lease",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}
