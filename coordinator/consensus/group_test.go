package consensus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(runChild(dir))
	}
	goleak.VerifyTestMain(m,
		// A proposal still in raft's queue at shutdown is never answered by raft.
		goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

// tape is a Machine whose state is everything that ever happened to it, byte for byte.
type tape struct {
	mu    sync.Mutex
	bytes []byte
	seen  map[string]bool
}

var _ Machine = (*tape)(nil)

func newTape() *tape { return &tape{seen: map[string]bool{}} }

func (t *tape) Apply(index uint64, cmd *pb.Command) *pb.ApplyResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = binary.BigEndian.AppendUint64(t.bytes, index)
	t.bytes = append(append(t.bytes, byte(len(cmd.RequestId))), cmd.RequestId...)
	replayed := t.seen[cmd.RequestId]
	t.seen[cmd.RequestId] = true
	return &pb.ApplyResult{Run: cmd.RequestId, Replayed: replayed}
}

func (t *tape) Snapshot() ([]byte, error) { return t.state(), nil }

func (t *tape) Restore(b []byte) error {
	seen := map[string]bool{}
	for rest := b; len(rest) > 0; {
		if len(rest) < 9 || len(rest) < 9+int(rest[8]) {
			return errors.New("short tape")
		}
		n := int(rest[8])
		seen[string(rest[9:9+n])] = true
		rest = rest[9+n:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes, t.seen = bytes.Clone(b), seen
	return nil
}

func (t *tape) state() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.bytes)
}

func (t *tape) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[id]
}

// group is a set of members in this process, on loopback, each with a directory of its own.
type group struct {
	t       *testing.T
	members []Member
	root    string
	tune    func(*Config)
	live    map[string]*Consensus
	tapes   map[string]*tape
	fatals  chan error
}

// newGroup picks addresses; nobody runs yet.
func newGroup(t *testing.T, n int, tune func(*Config)) *group {
	t.Helper()
	g := &group{
		t: t, root: t.TempDir(), tune: tune, live: map[string]*Consensus{},
		tapes: map[string]*tape{}, fatals: make(chan error, 10),
	}
	for i := range n {
		m := Member{ID: fmt.Sprintf("c%d", i), RaftAddr: testkit.FreeAddr(t)}
		g.members = append(g.members, m)
	}
	t.Cleanup(func() {
		for _, c := range g.live {
			_ = c.close(false)
		}
	})
	return g
}

func startGroup(t *testing.T, n int, tune func(*Config)) *group {
	t.Helper()
	g := newGroup(t, n, tune)
	for _, m := range g.members {
		g.start(m.ID)
	}
	return g
}

func (g *group) dir(id string) string { return filepath.Join(g.root, id) }

func (g *group) config(id string) Config {
	cfg := Config{
		ID: id, Dir: g.dir(id), Members: g.members, Logger: zerolog.Nop(),
		Fatal: func(err error) { g.fatals <- err },
		// Well below the defaults, for tests that are not about time.
		HeartbeatTimeout: 250 * time.Millisecond, ElectionTimeout: 250 * time.Millisecond,
		LeaderLease: 200 * time.Millisecond,
	}
	for _, m := range g.members {
		if m.ID == id {
			cfg.Bind = m.RaftAddr
		}
	}
	if g.tune != nil {
		g.tune(&cfg)
	}
	return cfg
}

func (g *group) start(id string) *Consensus {
	g.t.Helper()
	m := newTape()
	c, err := Start(g.config(id), m)
	if err != nil {
		g.t.Fatalf("start %s: %v", id, err)
	}
	g.live[id], g.tapes[id] = c, m
	return c
}

// kill ends a member with no hand-over: for the others it is gone in the middle of a word.
func (g *group) kill(id string) {
	g.t.Helper()
	if err := g.live[id].close(false); err != nil {
		g.t.Errorf("close %s: %v", id, err)
	}
	delete(g.live, id)
}

// leader waits for a member that leads and has passed its barrier.
func (g *group) leader() (string, *Consensus) {
	g.t.Helper()
	var id string
	testkit.Eventually(g.t, "a leader", func() bool {
		for name, c := range g.live {
			if _, ok := c.IsLeader(); ok {
				id = name
				return true
			}
		}
		return false
	})
	return id, g.live[id]
}

// undisturbed runs f on a leader: on lead, if it is named. A starved leader may step down in the
// middle of it. Then what f says does not count, and f runs again, with every member up.
func (g *group) undisturbed(lead string, f func(id string, leader *Consensus) error) {
	g.t.Helper()
	var err error
	for end := time.Now().Add(testkit.Patience); time.Now().Before(end); {
		g.startMissing()
		if lead != "" {
			leadBy(g.t, g, lead)
		}
		id, leader := g.leader()
		epoch, led := leader.IsLeader()
		if err = f(id, leader); err == nil {
			return
		}
		if now, leads := leader.IsLeader(); led && leads && now == epoch {
			break
		}
	}
	g.t.Fatal(err)
}

// startMissing brings every member up, those too that a disk has stopped.
func (g *group) startMissing() {
	g.t.Helper()
	for _, m := range g.members {
		if c := g.live[m.ID]; c != nil && c.out() {
			<-g.fatals
			g.kill(m.ID)
		}
		if g.live[m.ID] == nil {
			g.start(m.ID)
		}
	}
}

// killOthers leaves one member alone.
func (g *group) killOthers(id string) {
	g.t.Helper()
	for _, m := range g.members {
		if m.ID != id && g.live[m.ID] != nil {
			g.kill(m.ID)
		}
	}
}

// propose retries at whoever leads until the outcome is known, as a client does.
func (g *group) propose(id string) {
	g.t.Helper()
	testkit.Eventually(g.t, "proposal "+id, func() bool {
		for _, c := range g.live {
			if _, ok := c.IsLeader(); !ok {
				continue
			}
			if proposeOn(c, id) == nil {
				return true
			}
		}
		return false
	})
}

func proposeOn(c *Consensus, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	r, err := c.Propose(ctx, command(id))
	if err == nil && r.Run != id {
		return fmt.Errorf("result of %q for %q", r.Run, id)
	}
	return err
}

func command(id string) *pb.Command {
	return &pb.Command{RequestId: id, Command: &pb.Command_Stop{Stop: &pb.StopRun{Run: "r"}}}
}

// sameState waits until every live member's tape has the same bytes, and returns them.
func (g *group) sameState() []byte {
	g.t.Helper()
	var state []byte
	testkit.Eventually(g.t, "equal state on all members", func() bool {
		state = nil
		for id := range g.live {
			s := g.tapes[id].state()
			if state != nil && !bytes.Equal(state, s) {
				return false
			}
			state = s
		}
		return len(state) > 0
	})
	return state
}
