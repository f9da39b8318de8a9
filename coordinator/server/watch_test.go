package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/coordinator/state"
	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// viewer is a client's end of a watch, keeping the cursor as the client library does.
type viewer struct {
	grpc.ServerStream
	ctx   context.Context
	items []*pb.WatchItem
	step  uint64
	event uint64
	twice []uint64 // steps out of order, or sent again
	fail  error
}

func (v *viewer) Context() context.Context { return v.ctx }

func (v *viewer) Send(item *pb.WatchItem) error {
	if v.fail != nil {
		return v.fail
	}
	v.items = append(v.items, item)
	if s := item.GetStep(); s != nil {
		if s.GetStep() != v.step+1 {
			v.twice = append(v.twice, s.GetStep())
		}
		v.step = s.GetStep()
	}
	if e := item.GetEvent(); e != nil {
		v.event = max(v.event, e.GetIndex())
		if takesBack(e) {
			v.step = min(v.step, e.GetStep())
		}
	}
	return nil
}

// past is a random history of a run as the leader published it, with what survives of it.
type past struct {
	items    []*pb.WatchItem
	survives map[uint64]float64
	run      *pb.Run
}

// drawPast makes generations that step on and are resumed at an earlier step, or end.
func drawPast(t *rapid.T) *past {
	p := &past{survives: map[uint64]float64{}, run: &pb.Run{Id: "r", State: pb.RunState_RUNNING}}
	index, last := uint64(1), uint64(0)
	add := func(kind pb.EventKind, generation, step uint64) {
		index++
		e := &pb.Event{Kind: kind, Index: index, Generation: generation, Step: step}
		p.run.Events = append(p.run.Events, e)
		p.items = append(p.items, eventItem(e))
	}
	fast := rapid.Bool().Draw(t, "fast")
	for g := range uint64(rapid.IntRange(1, 4).Draw(t, "generations")) {
		g++
		if fast && g > 1 {
			at := uint64(rapid.IntRange(0, int(last)).Draw(t, "rewinds to"))
			add(pb.EventKind_GENERATION_ASSIGNED, g, at)
			p.run.Events[len(p.run.Events)-1].Supersedes = g - 1
			for ; last > at; last-- {
				delete(p.survives, last)
			}
		}
		add(pb.EventKind_GENERATION_RUNNING, g, last)
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			last++
			s := &pb.StepRecord{Step: last, Generation: g, Loss: float64(100*g + last)}
			p.items = append(p.items, stepItem(s))
			p.survives[last] = s.GetLoss()
			if rapid.IntRange(0, 3).Draw(t, "event") == 0 {
				add(pb.EventKind_CHECKPOINT_COMMITTED, g, last)
			}
		}
		p.run.Generation = g
		if rapid.Bool().Draw(t, "resumed") {
			at := uint64(rapid.IntRange(0, int(last)).Draw(t, "at"))
			add(pb.EventKind_RUN_FAILED, g, at)
			add(pb.EventKind_RUN_RESUMED, g, at)
			for ; last > at; last-- {
				delete(p.survives, last)
			}
		}
	}
	return p
}

// machine is a state machine that knows the run.
func (p *past) machine(t *rapid.T) *state.Machine {
	run := &pb.Run{Id: "r", State: pb.RunState_PENDING, Generation: p.run.Generation,
		Resolved: &pb.ResolvedRun{TotalSteps: 1000}, Events: p.run.Events}
	m := state.New()
	b, err := proto.Marshal(&pb.ClusterState{AppliedIndex: 1000, Runs: []*pb.Run{run}})
	if err == nil {
		err = m.Restore(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestI11_WatchIsOnceAndInOrder lets the bus, with everything, and the hub, with the newest items
// less what it dropped, come in any interleaving, and breaks and resumes the watch in between.
func TestI11_WatchIsOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPast(t)
		m := &member{cfg: testConfig(), machine: p.machine(t)}
		known, _ := m.machine.Run("r")
		v := &viewer{ctx: t.Context()}
		broken := rapid.IntRange(0, 2).Draw(t, "breaks")
		for round := range broken + 1 {
			w := &watcher{m: m, run: "r", stream: v, last: v.step, floor: v.event,
				events: map[uint64]map[pb.EventKind]bool{}, early: map[uint64]*pb.StepRecord{}}
			w.learn(known)
			bus := p.items
			hub := p.items[rapid.IntRange(0, len(p.items)).Draw(t, "tail"):]
			for len(bus) > 0 {
				if round < broken && rapid.IntRange(0, 9).Draw(t, "breaks now") == 0 {
					break
				}
				var err error
				switch {
				case len(hub) > 0 && rapid.Bool().Draw(t, "hub"):
					if rapid.IntRange(0, 9).Draw(t, "dropped") > 0 {
						err = w.hurry(t.Context(), hub[0])
					}
					hub = hub[1:]
				default:
					err = w.fromBus(t.Context(), bus[0])
					bus = bus[1:]
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		p.check(t, v)
	})
}

func (p *past) check(t *rapid.T, v *viewer) {
	got, told := map[uint64]float64{}, map[uint64]bool{}
	for _, item := range v.items {
		if s := item.GetStep(); s != nil {
			got[s.GetStep()] = s.GetLoss()
			for _, x := range p.run.GetEvents() {
				if takesBack(x) && lastReplaced(x) < s.GetGeneration() &&
					!told[x.GetIndex()] {
					t.Fatalf("step %d was sent before the resume that made it: %s", s.GetStep(), text(v.items))
				}
			}
		}
		told[item.GetEvent().GetIndex()] = true
		if e := item.GetEvent(); e != nil && takesBack(e) {
			for s := range got {
				if s > e.GetStep() {
					delete(got, s)
				}
			}
		}
	}
	if len(v.twice) > 0 || fmt.Sprint(got) != fmt.Sprint(p.survives) {
		t.Fatalf("steps out of order: %v\n got %v\nwant %v\nhistory %s\n   sent %s", v.twice, got,
			p.survives, text(p.items), text(v.items))
	}
}

// TestI11_HubDoesNotEndAWatchEarly: the event that closes a run waits for the steps before it.
func TestI11_HubDoesNotEndAWatchEarly(t *testing.T) {
	m := &member{cfg: testConfig(), machine: state.New()}
	m.machine.Apply(1, &pb.Command{})
	v := &viewer{ctx: t.Context()}
	w := &watcher{m: m, run: "r", stream: v, events: map[uint64]map[pb.EventKind]bool{},
		early: map[uint64]*pb.StepRecord{}}
	end := &pb.Event{Kind: pb.EventKind_RUN_SUCCEEDED, Index: 1, Step: 2, Generation: 1}
	for _, item := range []*pb.WatchItem{stepItem(stepRecord(2, 2)), eventItem(end)} {
		must(t, w.hurry(t.Context(), item))
	}
	expect(t, "before step 1", text(v.items), "")
	must(t, w.fromBus(t.Context(), stepItem(stepRecord(1, 1))))
	must(t, w.hurry(t.Context(), eventItem(end)))
	expect(t, "after it", text(v.items), "1 2 RUN_SUCCEEDED@1")
}

// theatre is a member with a leader's loop, a bus, and a watch in the background.
type theatre struct {
	*stage
	member *member
	viewer *viewer
	done   chan error
	leave  context.CancelFunc
}

func newTheatre(t *testing.T) *theatre {
	s := newStage(t)
	th := &theatre{stage: s, member: &member{cfg: s.cfg, machine: s.group.machine, consensus: s.group,
		bus: s.bus}}
	th.member.setLead(s.lead.lead)
	return th
}

func (th *theatre) watch(q *pb.WatchRequest) {
	ctx, cancel := context.WithCancel(th.t.Context())
	th.leave = cancel
	th.viewer = &viewer{ctx: ctx, step: q.GetAfterStep(), event: q.GetAfterEvent()}
	th.done = make(chan error, 1)
	go func() { th.done <- runService{m: th.member}.Watch(q, th.viewer) }()
	synctest.Wait()
}

// over waits for the end of the watch.
func (th *theatre) over(t *testing.T) error {
	t.Helper()
	select {
	case err := <-th.done:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("the watch goes on; it sent %s", text(th.viewer.items))
		return nil
	}
}

func (th *theatre) records(worker string, generation uint64, list []*pb.StepRecord) {
	th.say(worker, &pb.WorkerMessage{Message: &pb.WorkerMessage_Records{Records: &pb.StepRecords{
		Run: "r1", Generation: generation, Records: list}}})
	synctest.Wait()
}

const oneRank = "worker w1\nlaunch r1 steps=4 workers=1..1 keep=3\nsay w1 r1/1/0 phase=STEPPING\n"

// TestI11_WatchToTheEnd follows a run live, by id and by name, and ends with it.
func TestI11_WatchToTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		th.watch(&pb.WatchRequest{Run: "tiny"})
		th.records("w1", 1, records(1, 2))
		expect(t, "live", text(th.viewer.items), "RUN_LAUNCHED@2 GENERATION_ASSIGNED@3 "+
			"GENERATION_RUNNING@4 1 2")
		th.bus.setDown(true)
		th.records("w1", 1, records(3, 3))
		expect(t, "without bus", text(th.viewer.items[4:]), "2 3")
		th.bus.setDown(false)
		th.records("w1", 1, records(4, 4))
		th.play("shard w1 r1/1/0 step=4\nsay w1 r1/1/0 phase=DONE step=4\n")
		if err := th.over(t); err != nil {
			t.Error(err)
		}
		expect(t, "end", text(th.viewer.items[6:]), "4 CHECKPOINT_COMMITTED@5 RUN_SUCCEEDED@6")
		th.watch(&pb.WatchRequest{Run: "r1", AfterStep: 3, AfterEvent: 5})
		if err := th.over(t); err != nil {
			t.Error(err)
		}
		expect(t, "from a cursor", text(th.viewer.items), "4 RUN_SUCCEEDED@6")
	})
}

// TestI11_WatchWithoutTelemetry: when the bus has lost everything, the curve of the newest
// checkpoint and the state have it.
func TestI11_WatchWithoutTelemetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		th.records("w1", 1, records(1, 4))
		th.play("shard w1 r1/1/0 step=4\nsay w1 r1/1/0 phase=DONE step=4\n")
		th.member.bus = newBus()
		th.member.setLead(nil)
		th.group.leader = ""
		th.watch(&pb.WatchRequest{Run: "r1", AfterStep: 1})
		if err := th.over(t); err != nil {
			t.Error(err)
		}
		expect(t, "sent", text(th.viewer.items), "2 3 4 RUN_LAUNCHED@2 GENERATION_ASSIGNED@3 "+
			"GENERATION_RUNNING@4 CHECKPOINT_COMMITTED@5 RUN_SUCCEEDED@6")
	})
}

// TestI11_WatchFillsGaps: steps that the bus lost in the middle come from the checkpoint's curve.
func TestI11_WatchFillsGaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank + "shard w1 r1/1/0 step=3\n")
		bus := newBus()
		th.member.bus = bus
		th.member.setLead(nil)
		th.group.leader = ""
		must(t, bus.Publish(t.Context(), "r1", "a", stepItem(stepRecord(1, 1))))
		must(t, bus.Publish(t.Context(), "r1", "b", stepItem(stepRecord(4, 4))))
		th.watch(&pb.WatchRequest{Run: "r1"})
		pass(leaderlessAfter + time.Second)
		synctest.Wait()
		expect(t, "sent", text(th.viewer.items), "1 2 3 4")
		th.leave()
		if err := th.over(t); status.Code(err) != codes.Canceled {
			t.Errorf("a client that left: %v", err)
		}
	})
}

// TestWatchEnds: with the leadership (pointing elsewhere), with the client, with a broken stream.
func TestWatchEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank)
		th.watch(&pb.WatchRequest{Run: "r1"})
		th.group.leader = "c3"
		th.lead.stop()
		err := th.over(t)
		if hint, ok := leader.Hint(err); !ok || hint != "c3:1" {
			t.Errorf("a lost leadership: %v", err)
		}
		th.member.setLead(nil)
		th.watch(&pb.WatchRequest{Run: "r1"})
		if hint, ok := leader.Hint(th.over(t)); !ok || hint != "c3:1" {
			t.Errorf("another member leads: hint %q, %v", hint, ok)
		}
		th.group.leader = "c1"
		th.lead = beginLeadership(t, th.cfg, th.group, th.bus)
		th.member.setLead(th.lead.lead)
		th.watch(&pb.WatchRequest{Run: "r2"})
		if err := th.over(t); status.Code(err) != codes.NotFound {
			t.Errorf("no such run: %v", err)
		}
		th.watch(&pb.WatchRequest{Run: "r1"})
		th.viewer.fail = errors.New("broken")
		th.records("w1", 1, records(1, 1))
		th.play("worker w1\nsay w1 r1/1/0 phase=DEAD\n")
		if err := th.over(t); status.Code(err) != codes.Unavailable {
			t.Errorf("a broken stream: %v", err)
		}
	})
}
