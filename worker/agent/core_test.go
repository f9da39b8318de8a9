package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestLifeOfARank: it is started once, told its peers, and its words go up in order. When it has
// ended it is not started again, though the leader still wants it.
func TestLifeOfARank(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	a.connect()
	a.hears("inventory")
	k := key{"steps", 1, 0}
	a.tell(desired(assignment(k, 0)))
	a.hears("rank steps/1/0=STARTING")
	d.await("steps/1/0 up")
	m := a.hears("rank steps/1/0=LISTENING")
	if m.GetRank().GetAddress() != "steps/1/0" {
		t.Errorf("the address is %q", m.GetRank().GetAddress())
	}
	order := assignment(k, 0)
	order.Peers = []string{"steps/1/0"}
	a.tell(desired(order))
	a.hears("rank steps/1/0=STEPPING", "records steps/1 1", "records steps/1 2", "records steps/1 3",
		"shard steps/1/0 3")
	committed := assignment(k, 0)
	committed.CommittedStep = 3
	a.tell(desired(committed))
	a.hears("rank steps/1/0=DONE")
	d.await("steps/1/0 down")
	a.tell(desired(committed))
	a.connect()
	a.hears("inventory steps/1/0=DONE") // its records are in the committed checkpoint
	d.quiet()
	a.tell(desired())
	a.tell(&pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_RecordsAck{
		RecordsAck: &pb.RecordsAck{Run: "steps", Generation: 1, Step: 3}}})
	a.forgets()
}

// TestI8_UndesiredRankIsKilled: what the leader no longer names dies at once, whatever it does,
// and what it names runs on.
func TestI8_UndesiredRankIsKilled(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	a.connect()
	stays := assignment(key{"obey", 1, 1}, 1)
	a.tell(desired(stays))
	d.await("obey/1/1 up")
	a.tell(desired(assignment(key{"hang", 1, 0}, 0), stays))
	d.await("hang/1/0 up")
	a.tell(desired(stays))
	d.dies("hang/1/0")
	d.quiet()
	stops := assignment(key{"obey", 1, 1}, 1)
	stops.Stop = true
	a.tell(desired(stops))
	d.await("obey/1/1 down")
}

// TestDeviceIsFreedFirst: the next generation's rank starts when the last one's process is gone.
func TestDeviceIsFreedFirst(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	a.connect()
	for g := uint64(1); g <= 4; g++ {
		a.tell(desired(assignment(key{"hang", g, 0}, 0)))
	}
	a.hears("inventory", "rank hang/1/0=STARTING")
	for heard, dead := "", false; heard != "rank hang/4/0=STARTING"; {
		select {
		case m := <-a.out:
			heard = said([]*pb.WorkerMessage{m})
		case <-time.After(testkit.Patience):
			t.Fatalf("the newest generation does not start; last heard: %q", heard)
		}
		dead = dead || heard == "rank hang/1/0=DEAD"
		if strings.HasSuffix(heard, "=STARTING") && (!dead || heard != "rank hang/4/0=STARTING") {
			t.Fatalf("the device is not free, or not wanted any more, but %q", heard)
		}
	}
	for d.next("hang/4/0 up") != "hang/4/0 up" { // the first one may have come and gone before
	}
}

// TestCrashIsReported with the last line that the rank wrote.
func TestCrashIsReported(t *testing.T) {
	openDoor(t)
	a := startAgent(t)
	for name, want := range map[string]string{
		"crash":  "rank process: exit status 2: panic: out of everything",
		"silent": "rank process ended without a word",
	} {
		a.connect()
		a.hears("inventory")
		a.tell(desired(assignment(key{name, 1, 0}, 0)))
		id := name + "/1/0"
		m := a.hears("rank "+id+"=STARTING", "rank "+id+"=LISTENING", "rank "+id+"=DEAD").GetRank()
		expect(t, name+": reason", m.GetReason(), want)
		if m.GetFailure() != pb.FailureClass_TRANSIENT {
			t.Errorf("%s: class %s", name, m.GetFailure())
		}
		a.tell(desired())
	}
	log := a.log(key{"crash", 1, 0})
	if !strings.Contains(log, "first line\npanic: out of everything") {
		t.Errorf("the log says %q", log)
	}
}

// TestRankThatCannotStart is reported, not retried in a circle.
func TestRankThatCannotStart(t *testing.T) {
	a := startAgent(t)
	a.stop()
	a.cfg.Executable = filepath.Join(a.cfg.Dir, "nothing")
	again := startAgent(t)
	again.stop()
	again.core = newCore(a.cfg)
	s := again.connect()
	again.core.handle(<-again.inbox)
	again.core.handle(fromLeader{s, desired(assignment(key{"obey", 1, 0}, 0))})
	again.core.handle(fromLeader{s, desired(assignment(key{"obey", 1, 0}, 0))})
	m := again.hears("inventory", "rank obey/1/0=DEAD").GetRank()
	if !strings.Contains(m.GetReason(), "nothing") {
		t.Errorf("reason %q", m.GetReason())
	}
	if len(again.out) > 0 {
		t.Error("it was tried again")
	}
}

// TestI9_NoLeaderStopsNoRank: while nobody listens, ranks go on and what they say is kept; the
// next leader hears all of it.
func TestI9_NoLeaderStopsNoRank(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	s := a.connect()
	a.hears("inventory")
	a.tell(desired(assignment(key{"steps", 1, 0}, 0)))
	d.await("steps/1/0 up")
	a.hears("rank steps/1/0=STARTING", "rank steps/1/0=LISTENING")
	order := assignment(key{"steps", 1, 0}, 0)
	order.Peers, order.CommittedStep = []string{"steps/1/0"}, 3
	a.tell(desired(order)) // the old leader's last word
	a.inbox <- sessionDown{s}
	d.await("steps/1/0 down")
	m := a.hearsInTheEnd("records steps/1 1,2,3", "shard steps/1/0 3", "inventory steps/1/0=DONE")
	if m.GetInventory().GetRanks()[0].GetAddress() != "steps/1/0" {
		t.Error("a new leader does not learn where the rank listens")
	}
}

// TestI1_LeaderOfThePast: a leader that does not know yet that it is none any more is not obeyed,
// neither in a session it had before nor in a new one.
func TestI1_LeaderOfThePast(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	past := a.connect()
	present := &session{out: make(chan *pb.WorkerMessage, sessionQueue), cancel: func() {}, epoch: 7}
	a.inbox <- sessionUp{present}
	a.at = present
	a.tell(desired(assignment(key{"hang", 1, 0}, 0)))
	d.await("hang/1/0 up")
	a.inbox <- fromLeader{past, desired()}
	refused := make(chan struct{})
	again := &session{out: make(chan *pb.WorkerMessage, sessionQueue), epoch: 6,
		cancel: func() { close(refused) }}
	a.inbox <- sessionUp{again}
	a.inbox <- fromLeader{again, desired()}
	select {
	case <-refused:
	case <-time.After(testkit.Patience):
		t.Fatal("a session of an older epoch is kept")
	}
	a.tell(desired(assignment(key{"hang", 1, 0}, 0), assignment(key{"obey", 1, 0}, 1)))
	d.await("obey/1/0 up") // and the first one still runs
}

// TestI8_ShutdownKillsAll: when the agent ends, no rank is left.
func TestI8_ShutdownKillsAll(t *testing.T) {
	d, a := openDoor(t), startAgent(t)
	a.connect()
	a.tell(desired(assignment(key{"hang", 1, 0}, 0), assignment(key{"hang", 1, 1}, 1)))
	d.both("hang/1/0 up", "hang/1/1 up")
	a.stop()
	d.dies("hang/1/0", "hang/1/1")
}

// TestI8_RankDiesWithItsDaemon kills the daemon. An ordinary rank sees its socket close; on Linux
// the kernel kills one that looks at nothing.
func TestI8_RankDiesWithItsDaemon(t *testing.T) {
	for _, run := range []string{"obey", "hang"} {
		if run == "hang" && dieWithParent() == nil {
			continue // only the socket does it here
		}
		d := openDoor(t)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		daemon := exec.Command(self, "agent", run)
		daemon.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
		if _, err := daemon.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = daemon.Process.Kill() })
		d.await(run + "/1/0 up")
		if err := daemon.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = daemon.Wait()
		d.dies(run + "/1/0")
	}
}
