package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/internal/frame"
	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// doorEnv names the address at which the ranks of a test announce themselves. A rank keeps its
// connection open, so its end shows to the moment when the process dies.
const doorEnv = "BANYAN_TEST_DOOR"

// diesWithin is I8's promise.
const diesWithin = 5 * time.Second

// TestMain makes the test's own binary the rank and agent processes that tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "rank":
			rankProcess()
			return
		case "agent":
			agentProcess(os.Args[2])
			return
		}
	}
	os.Exit(m.Run())
}

// rankProcess does what its run's name says: "steps" goes through a life and ends DONE, "hang"
// listens to nobody, "crash" dies with a last line, "silent" ends without a word, "obey" is an
// ordinary rank that steps until it is told to stop or its daemon is gone.
func rankProcess() {
	link := os.NewFile(3, "worker")
	a := receive(link)
	door, err := net.Dial("tcp", os.Getenv(doorEnv))
	if err != nil {
		os.Exit(9)
	}
	k := keyOf(a)
	name := fmt.Sprintf("%s/%d/%d", k.run, k.generation, k.rank)
	if err := json.NewEncoder(door).Encode(map[string]string{"name": name}); err != nil {
		os.Exit(9)
	}
	say := func(p pb.RankPhase, address string) {
		r := phase(k, p)
		r.Address = address
		_ = frame.Write(link, &pb.FromRank{Message: &pb.FromRank_Report{Report: r}})
	}
	say(pb.RankPhase_LISTENING, name)
	switch what, _, _ := strings.Cut(k.run, "-"); what {
	case "hang":
		<-time.After(time.Hour) // select {} would be taken for a deadlock
	case "crash":
		fmt.Fprintln(os.Stderr, "first line\npanic: out of everything")
		os.Exit(2)
	case "silent":
		return
	case "steps":
		for len(a.GetPeers()) == 0 {
			a = receive(link)
		}
		say(pb.RankPhase_STEPPING, name)
		for step := range uint64(3) {
			record := &pb.FromRank_Record{Record: &pb.StepRecord{Step: step + 1}}
			_ = frame.Write(link, &pb.FromRank{Message: record})
		}
		shard := &pb.FromRank_Shard{Shard: shardOf(k, 3)}
		_ = frame.Write(link, &pb.FromRank{Message: shard})
		for a.GetCommittedStep() < 3 {
			a = receive(link)
		}
		say(pb.RankPhase_DONE, name)
	default:
		say(pb.RankPhase_STEPPING, name)
		for !a.GetStop() {
			a = receive(link)
		}
		say(pb.RankPhase_DONE, name)
	}
}

// receive reads the next assignment; a rank whose daemon is gone ends at once.
func receive(link io.Reader) *pb.RankAssignment {
	m := &pb.ToRank{}
	if frame.Read(link, m) != nil {
		os.Exit(3)
	}
	return m.GetAssignment()
}

// agentProcess is a daemon that runs one rank of the named run until it is killed, or its standard
// input ends with the test that began it.
func agentProcess(run string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	self, err := os.Executable()
	if err != nil {
		os.Exit(9)
	}
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		os.Exit(9)
	}
	cfg := Config{ID: "w1", Host: "h", Devices: 1, Threads: 1, Dir: dir, Executable: self,
		Log: zerolog.Nop()}
	if cfg.Validate() != nil {
		os.Exit(9)
	}
	c := newCore(cfg)
	c.session = &session{out: make(chan *pb.WorkerMessage, sessionQueue), cancel: func() {}}
	c.inbox <- fromLeader{c.session, desired(assignment(key{run, 1, 0}, 0))}
	c.run(context.Background())
}

func assignment(k key, device uint32) *pb.RankAssignment {
	return &pb.RankAssignment{Run: k.run, Generation: k.generation, Rank: k.rank, World: 1,
		Device: device}
}

func desired(ranks ...*pb.RankAssignment) *pb.CoordinatorMessage {
	return &pb.CoordinatorMessage{Message: &pb.CoordinatorMessage_Desired{
		Desired: &pb.Desired{Ranks: ranks}}}
}

// door is where rank processes announce themselves.
type door struct {
	t      *testing.T
	events chan string // "name up", "name down"
}

func openDoor(t *testing.T) *door {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv(doorEnv, l.Addr().String())
	d := &door{t: t, events: make(chan string, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.watch(c)
		}
	}()
	return d
}

func (d *door) watch(c net.Conn) {
	defer c.Close()
	var who struct{ Name string }
	if json.NewDecoder(c).Decode(&who) != nil {
		return
	}
	d.events <- who.Name + " up"
	_, _ = io.Copy(io.Discard, c)
	d.events <- who.Name + " down"
}

// await waits for exactly these events, in this order.
func (d *door) await(want ...string) {
	d.t.Helper()
	for _, w := range want {
		if got := d.next(w); got != w {
			d.t.Fatalf("want %q, got %q", w, got)
		}
	}
}

// next waits for an event; what says what is hoped for.
func (d *door) next(what string) string {
	d.t.Helper()
	return d.nextWithin(testkit.Patience, what)
}

func (d *door) nextWithin(within time.Duration, what string) (got string) {
	d.t.Helper()
	testkit.EventuallyWithin(d.t, within, what, func() bool {
		select {
		case got = <-d.events:
			return true
		default:
			return false
		}
	})
	return got
}

// dies waits for the end of these ranks, in any order, as long as I8 allows.
func (d *door) dies(ranks ...string) {
	d.t.Helper()
	for left := slices.Clone(ranks); len(left) > 0; {
		got := d.nextWithin(diesWithin, "the death of "+strings.Join(left, " and "))
		who, down := strings.CutSuffix(got, " down")
		i := slices.Index(left, who)
		if !down || i < 0 {
			d.t.Fatalf("want the death of %q, got %q", left, got)
		}
		left = slices.Delete(left, i, i+1)
	}
}

// both waits for two events in any order.
func (d *door) both(one, other string) {
	d.t.Helper()
	got := map[string]bool{d.next(one): true, d.next(other): true}
	if !got[one] || !got[other] {
		d.t.Fatalf("want %q and %q, got %v", one, other, got)
	}
}

// quiet asserts that nothing has happened at the door.
func (d *door) quiet() {
	d.t.Helper()
	select {
	case got := <-d.events:
		d.t.Fatalf("want nothing, got %q", got)
	default:
	}
}

// testAgent is a core at work with a leader's end of its session.
type testAgent struct {
	*core
	t    *testing.T
	at   *session // the newest
	out  chan *pb.WorkerMessage
	stop func()
}

func startAgent(t *testing.T) *testAgent {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{ID: "w1", Host: "h", Devices: 2, Threads: 1, Dir: t.TempDir(), Executable: self,
		Log: zerolog.Nop()}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &testAgent{core: newCore(cfg), t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx)
	}()
	a.stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(testkit.Patience):
			t.Error("the agent does not end")
		}
	}
	t.Cleanup(a.stop)
	return a
}

// connect opens a session; the one before it, if any, is still open in the agent's eyes.
func (a *testAgent) connect() *session {
	a.out = make(chan *pb.WorkerMessage, sessionQueue)
	s := &session{out: a.out, cancel: func() {}}
	a.at = s
	a.inbox <- sessionUp{s}
	return s
}

func (a *testAgent) tell(m *pb.CoordinatorMessage) { a.inbox <- fromLeader{a.at, m} }

// hears waits for messages of the worker, written as said does, and answers the last.
func (a *testAgent) hears(want ...string) *pb.WorkerMessage {
	a.t.Helper()
	var m *pb.WorkerMessage
	for _, w := range want {
		select {
		case m = <-a.out:
			expect(a.t, "the leader hears", said([]*pb.WorkerMessage{m}), w)
		case <-time.After(testkit.Patience):
			a.t.Fatalf("the leader did not hear %q", w)
		}
	}
	return m
}

// hearsInTheEnd makes sessions until what a new leader hears, up to the inventory, is this: the
// last words of a rank that has ended may still be on their way to the agent.
func (a *testAgent) hearsInTheEnd(want ...string) *pb.WorkerMessage {
	a.t.Helper()
	for end := time.Now().Add(testkit.Patience); ; {
		a.connect()
		var got []string
		var m *pb.WorkerMessage
		for m.GetInventory() == nil {
			select {
			case m = <-a.out:
				got = append(got, said([]*pb.WorkerMessage{m}))
			case <-time.After(testkit.Patience):
				a.t.Fatalf("the leader heard %q and no inventory", got)
			}
		}
		if slices.Equal(got, want) {
			return m
		}
		if time.Now().After(end) {
			a.t.Fatalf("the leader hears: got %q, want %q", got, want)
		}
	}
}

// forgets waits until the agent has nothing left to say to a new leader.
func (a *testAgent) forgets() {
	a.t.Helper()
	for end := time.Now().Add(testkit.Patience); ; {
		a.connect()
		select {
		case m := <-a.out:
			if got := said([]*pb.WorkerMessage{m}); got == "inventory" {
				return
			} else if time.Now().After(end) {
				a.t.Fatalf("the agent still says %q", got)
			}
		case <-time.After(testkit.Patience):
			a.t.Fatal("the agent says nothing")
		}
	}
}

func (a *testAgent) log(k key) string {
	b, err := os.ReadFile(filepath.Join(a.cfg.Dir, "ranks",
		fmt.Sprintf("%s-g%d-r%d.log", k.run, k.generation, k.rank)))
	if err != nil {
		a.t.Error(err)
	}
	return string(b)
}
