package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/banyan-train/banyan/internal/testkit"
)

// refusal is a disk that refuses chosen operations of one member once armed.
type refusal struct {
	member string
	op     string // "" refuses everything
	armed  atomic.Bool
}

func (r *refusal) tune(c *Config) {
	if c.ID != r.member {
		return
	}
	c.beforeWrite = func(op string) error {
		if r.armed.Load() && (r.op == "" || r.op == op) {
			return &os.PathError{Op: "write", Path: "raft.db", Err: syscall.ENOSPC}
		}
		return nil
	}
}

// checkFatal waits for the one report and checks what it says.
func checkFatal(t *testing.T, g *group, dir string) {
	t.Helper()
	err := receive(t, g.fatals)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("report does not wrap the cause: %v", err)
	}
	for _, want := range []string{dir, "MiB free", "free space on that file system"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("report lacks %q: %v", want, err)
		}
	}
	select {
	case err := <-g.fatals:
		t.Errorf("second report: %v", err)
	default:
	}
}

func receive(t *testing.T, ch <-chan error) error {
	t.Helper()
	var err error
	testkit.Eventually(t, "report of the disk", func() bool {
		select {
		case err = <-ch:
			return true
		default:
			return false
		}
	})
	return err
}

// The leader's disk is full: it reports, is out at once although its process lives on, and the
// others elect a leader that can write. Nothing acknowledged is lost.
func TestI5FullDiskUnderLeader(t *testing.T) {
	full := &refusal{}
	g := newGroup(t, 3, full.tune)
	full.member = "c1"
	for _, m := range g.members {
		g.start(m.ID)
	}
	for i := range 10 {
		g.propose(fmt.Sprintf("kept-%d", i))
	}
	g.undisturbed("c1", func(_ string, leader *Consensus) error {
		full.armed.Store(true)
		err := proposeOn(leader, "torn")
		if errors.Is(err, ErrUnknownOutcome) && leader.out() {
			return nil
		}
		full.armed.Store(false)
		return fmt.Errorf("got %v, want ErrUnknownOutcome from a full disk", err)
	})
	checkFatal(t, g, g.dir("c1"))
	sick := g.live["c1"]
	if _, ok := sick.IsLeader(); ok {
		testkit.Eventually(t, "end of leadership", func() bool { _, ok := sick.IsLeader(); return !ok })
	}
	if err := sick.Verify(context.Background()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("verify: got %v, want ErrNotLeader", err)
	}
	delete(g.live, "c1")
	g.propose("torn")
	state := g.sameState()
	for i := range 10 {
		if !bytes.Contains(state, []byte(fmt.Sprintf("kept-%d", i))) {
			t.Errorf("acknowledged kept-%d is lost", i)
		}
	}
	if err := sick.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	full.armed.Store(false) // somebody made room
	g.start("c1")
	g.sameState()
}

// raft panics when it cannot record a new term; that must never be reached.
func TestFullDiskWhileVoting(t *testing.T) {
	for _, op := range []string{"record Raft term", "record Raft vote", "append to Raft log"} {
		t.Run(op, func(t *testing.T) {
			full := &refusal{member: "c0", op: op}
			g := newGroup(t, 3, full.tune)
			for _, m := range g.members {
				g.start(m.ID)
			}
			leadBy(t, g, "c1")
			full.armed.Store(true)
			if op == "append to Raft log" {
				g.propose("x")
			} else {
				g.kill("c1") // an election, in which c0 is needed
			}
			checkFatal(t, g, g.dir("c0"))
			sick := g.live["c0"]
			delete(g.live, "c0")
			if err := sick.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestFullDiskInSnapshot(t *testing.T) {
	full := &refusal{member: "c0", op: opSnapshot}
	g := startGroup(t, 1, full.tune)
	g.propose("x")
	full.armed.Store(true)
	if err := g.live["c0"].Snapshot(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want the refusal", err)
	}
	checkFatal(t, g, g.dir("c0"))
}

func TestFullDiskAtStart(t *testing.T) {
	full := &refusal{member: "c0"}
	g := newGroup(t, 1, full.tune)
	full.armed.Store(true)
	c, err := Start(g.config("c0"), newTape())
	if err == nil {
		_ = c.Close()
		t.Fatal("started on a full disk")
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), g.dir("c0")) {
		t.Errorf("error does not name cause and directory: %v", err)
	}
	select {
	case err := <-g.fatals:
		t.Errorf("Fatal called for an error that Start returned: %v", err)
	default:
	}
}

// The real thing, where the machine allows: a file system that fills up.
func TestI5FullFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a tmpfs needs root; TestI5FullDiskUnderLeader covers the same path")
	}
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	dir := filepath.Join(small, "raft")
	g := newGroup(t, 3, func(c *Config) {
		if c.ID == "c0" {
			c.Dir = dir
		}
	})
	for _, m := range g.members {
		g.start(m.ID)
	}
	pad := strings.Repeat("p", 200)
	var acked []string
	g.undisturbed("c0", func(_ string, leader *Consensus) error {
		for {
			id := fmt.Sprintf("%s-%d", pad, len(acked))
			cmd := command(id)
			cmd.GetStop().Run = strings.Repeat("r", 64<<10)
			_, err := leader.Propose(context.Background(), cmd)
			switch {
			case err == nil:
				acked = append(acked, id)
			case errors.Is(err, ErrUnknownOutcome) && leader.out():
				return nil
			default:
				return fmt.Errorf("got %w, want ErrUnknownOutcome from a full file system", err)
			}
		}
	})
	checkFatal(t, g, dir)
	if err := g.live["c0"].Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	delete(g.live, "c0")
	g.propose("after")
	id, _ := g.leader()
	for _, name := range acked {
		if !g.tapes[id].has(name) {
			t.Fatalf("acknowledged proposal lost")
		}
	}
	t.Logf("%d proposals before the disk was full", len(acked))
}

// leadBy makes one member the leader.
func leadBy(t *testing.T, g *group, id string) {
	t.Helper()
	testkit.Eventually(t, "leadership of "+id, func() bool {
		have, c := g.leader()
		if have == id {
			return true
		}
		for _, m := range g.members {
			if m.ID == id {
				_ = c.raft.LeadershipTransferToServer( // tried again when it fails
					raft.ServerID(m.ID), raft.ServerAddress(m.RaftAddr)).Error()
			}
		}
		return false
	})
}
