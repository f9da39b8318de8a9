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
	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/internal/testkit"
)

// With the default timeouts: what a user sees when a leader's process dies under load.
func TestI5LeaderKilled(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLease = 0, 0, 0
	})
	const lead = "c0"
	var mu sync.Mutex
	var acked []string
	stop := make(chan struct{})
	var clients sync.WaitGroup
	member := g.live[lead]
	for w := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				if err := proposeOn(member, name); err == nil {
					mu.Lock()
					acked = append(acked, name)
					mu.Unlock()
					continue
				}
				select { // it does not lead at the moment, or is dead
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	testkit.Eventually(t, "50 acknowledged proposals", func() bool {
		leadBy(t, g, lead)
		mu.Lock()
		defer mu.Unlock()
		return len(acked) >= 50
	})
	first := member.Stats().Epoch
	killed := time.Now()
	g.kill(lead)
	close(stop)
	clients.Wait()
	g.propose("after")
	t.Logf("kill of the leader to the next committed proposal: %v", time.Since(killed))

	next, now := g.leader()
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
	var leader *Consensus
	g.undisturbed("", func(id string, c *Consensus) error {
		g.killOthers(id)
		leader = c
		err := proposeOn(c, "alone")
		if err == nil {
			t.Fatal("acknowledged without a majority")
		}
		if !errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrNotLeader) {
			return fmt.Errorf("got %w, want ErrUnknownOutcome", err)
		}
		return nil
	})
	testkit.Eventually(t, "loss of leadership", func() bool { _, ok := leader.IsLeader(); return !ok })
	if err := proposeOn(leader, "later"); !errors.Is(err, ErrNotLeader) {
		t.Errorf("got %v, want ErrNotLeader", err)
	}
	g.startMissing()
	g.propose("alone") // retried with its request id
	if bytes.Count(g.sameState(), []byte("later")) != 0 {
		t.Error("a proposal refused by ErrNotLeader was applied")
	}
}

func TestProposeContext(t *testing.T) {
	g := startGroup(t, 3, nil)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	g.undisturbed("", func(id string, leader *Consensus) error {
		if _, err := leader.Propose(ended, command("x")); errors.Is(err, ErrUnknownOutcome) ||
			!errors.Is(err, context.Canceled) {
			return fmt.Errorf("ended before: got %w, want context.Canceled, outcome known", err)
		}
		g.killOthers(id)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		last, done := leader.Stats().Last, make(chan error, 1)
		go func() {
			_, err := leader.Propose(ctx, command("y"))
			done <- err
		}()
		testkit.Eventually(t, "the proposal in the leader's log", func() bool {
			return leader.Stats().Last > last || len(done) > 0
		})
		cancel()
		if err := <-done; !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
			return fmt.Errorf("ended meanwhile: got %w, want ErrUnknownOutcome and Canceled", err)
		}
		return nil
	})
	g.startMissing()
	g.undisturbed("", func(_ string, leader *Consensus) error {
		big := command(strings.Repeat("x", MaxCommandBytes))
		if _, err := leader.Propose(context.Background(), big); !errors.Is(err, ErrTooLarge) {
			return fmt.Errorf("large command: got %w, want ErrTooLarge", err)
		}
		return nil
	})
}

func TestI7VerifyNeedsMajority(t *testing.T) {
	g := startGroup(t, 3, nil)
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var lead string
	var leader *Consensus
	g.undisturbed("", func(id string, c *Consensus) error {
		lead, leader = id, c
		if err := leader.Verify(ctx); err != nil {
			return fmt.Errorf("leader: %w", err)
		}
		for name, c := range g.live {
			if name == id {
				continue
			}
			if err := c.Verify(ctx); !errors.Is(err, ErrNotLeader) {
				return fmt.Errorf("follower %s: got %w, want ErrNotLeader", name, err)
			}
			testkit.Eventually(t, "the leader's name at "+name, func() bool {
				_, known := c.Leader()
				return known
			})
			if who, ok := c.Leader(); !ok || who != id {
				return fmt.Errorf("follower %s knows leader %q, %v; want %s", name, who, ok, id)
			}
			if err := proposeOn(c, "no"); !errors.Is(err, ErrNotLeader) {
				return fmt.Errorf("propose at follower %s: got %w, want ErrNotLeader", name, err)
			}
		}
		return nil
	})
	g.killOthers(lead)
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
	case <-time.After(testkit.Patience):
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

// The others are made so patient that none of them would ever ask for an election by itself: a
// newer epoch among them came by a hand-over.
func TestCloseHandsLeadershipOver(t *testing.T) {
	for end := time.Now().Add(testkit.Patience); !handsOver(t); {
		if time.Now().After(end) {
			t.Fatal("no leader closed while it led")
		}
	}
}

// handsOver closes a leader and checks that another takes over. It answers false when the leader
// was starved and had stepped down before.
func handsOver(t *testing.T) bool {
	logs := map[string]*testkit.Output{}
	g := startGroup(t, 3, func(c *Config) {
		logs[c.ID] = &testkit.Output{}
		c.Logger = zerolog.New(logs[c.ID])
		c.LeaderLease, c.transferWait = c.HeartbeatTimeout, testkit.Patience
	})
	id, leader := g.leader()
	epoch, _ := leader.IsLeader()
	for name, c := range g.live {
		r := c.raft.ReloadableConfig()
		r.ElectionTimeout = time.Hour // of the leader, it is also raft's own bound of a hand-over
		if name != id {
			r.HeartbeatTimeout = time.Hour
		}
		if err := c.raft.ReloadConfig(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := leader.Close(); err != nil {
		t.Fatal(err)
	}
	delete(g.live, id)
	if !strings.Contains(logs[id].String(), "leadership handed over") {
		return false
	}
	testkit.Eventually(t, "an epoch of another leader", func() bool {
		for _, c := range g.live {
			if c.Stats().Epoch > epoch {
				return true
			}
		}
		return false
	})
	for _, c := range g.live { // the next leader beats, and the rest is as usual
		r := c.raft.ReloadableConfig()
		r.HeartbeatTimeout, r.ElectionTimeout = c.cfg.HeartbeatTimeout, c.cfg.ElectionTimeout
		if err := c.raft.ReloadConfig(r); err != nil {
			t.Fatal(err)
		}
	}
	g.propose("next")
	return true
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
