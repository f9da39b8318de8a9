package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// desk is a recorder at work, with what it says.
type desk struct {
	*recorder
	bus    *fakeBus
	run    *pb.Run
	mu     sync.Mutex // recorder and publisher acknowledge from two goroutines
	acks   []*pb.RecordsAck
	posted []any
	curves int // times the checkpoint's curve was read
	held   []*pb.StepRecord
	stop   context.CancelFunc
}

// newDesk starts a recorder on a bus. Tests run in a synctest bubble and look at the fields after
// synctest.Wait.
func newDesk(t *testing.T, bus *fakeBus) *desk {
	d := &desk{bus: bus, run: &pb.Run{Id: "r"}}
	d.recorder = &recorder{run: "r", bus: bus, log: zerolog.Nop(), newest: d.run,
		in: make(chan any, recorderQueue), out: newPublisher("r", bus, zerolog.Nop()),
		post: func(m any) bool { d.posted = append(d.posted, m); return true },
		curve: func(context.Context, *pb.Run) ([]*pb.StepRecord, error) {
			d.curves++
			if d.held == nil {
				return nil, errors.New("no checkpoint")
			}
			return d.held, nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	d.stop = cancel
	t.Cleanup(cancel)
	go d.work(ctx)
	return d
}

// checkpointed gives the run a newest checkpoint whose curve is that of the first steps.
func (d *desk) checkpointed(upTo uint64) {
	d.run = &pb.Run{Id: "r", Checkpoints: []*pb.CheckpointRef{{Step: upTo}}}
	d.held = records(1, upTo)
}

func (d *desk) hears(generation uint64, list ...*pb.StepRecord) {
	m := &pb.StepRecords{Run: "r", Generation: generation, Records: list}
	d.in <- recordsIn{d.run, m, d.acked}
	synctest.Wait()
}

func (d *desk) acked(a *pb.RecordsAck) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acks = append(d.acks, a)
}

func (d *desk) happens(events ...*pb.Event) {
	d.in <- eventsIn{d.run, events}
	synctest.Wait()
}

// lastAck is the step of the newest acknowledgement.
func (d *desk) lastAck() string {
	if len(d.acks) == 0 {
		return "none"
	}
	return fmt.Sprint(d.acks[len(d.acks)-1].GetStep())
}

func records(lo, hi uint64) []*pb.StepRecord {
	var out []*pb.StepRecord
	for s := lo; s <= hi; s++ {
		out = append(out, stepRecord(s, float64(s)))
	}
	return out
}

// text writes items as "1 2 3(loss) EVENT@index".
func text(items []*pb.WatchItem) string {
	var out []string
	for _, item := range items {
		if s := item.GetStep(); s != nil {
			word := fmt.Sprint(s.GetStep())
			if s.GetLoss() != float64(s.GetStep()) {
				word += fmt.Sprintf("(%v)", s.GetLoss())
			}
			out = append(out, word)
		}
		if e := item.GetEvent(); e != nil {
			out = append(out, fmt.Sprintf("%s@%d", e.GetKind(), e.GetIndex()))
		}
	}
	return strings.Join(out, " ")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// bubble runs a test on a virtual clock.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestI11_RecordsAreOrderedAndRepetitionsSuppressed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 3)...)
		d.hears(1, records(2, 5)...)
		d.hears(1, records(1, 5)...)
		expect(t, "bus", text(d.bus.items), "1 2 3 4 5")
		tail, _, _ := d.hub.subscribe()
		expect(t, "hub", text(tail), "1 2 3 4 5")
		expect(t, "acknowledged", d.lastAck(), "5")
		if got := d.lastSeen.Load(); got != 5 {
			t.Errorf("last step seen is %d", got)
		}
	})
}

// TestI11_ReplaysAreComparedBitForBit: generation and timings may differ, nothing else may.
func TestI11_ReplaysAreComparedBitForBit(t *testing.T) {
	replays := map[string]struct {
		change func(*pb.StepRecord)
		same   bool
	}{
		"generation": {func(s *pb.StepRecord) { s.Generation = 9 }, true},
		"timings":    {func(s *pb.StepRecord) { s.Timings = &pb.Timings{StepS: 9} }, true},
		"loss":       {func(s *pb.StepRecord) { s.Loss += 1e-15 * s.Loss }, false},
		"grad norm":  {func(s *pb.StepRecord) { s.GradNorm = -s.GradNorm }, false},
		"data":       {func(s *pb.StepRecord) { s.DataDigest = "other" }, false},
		"language": {func(s *pb.StepRecord) {
			s.LossByLang = []*pb.GroupLoss{{Name: "zh", Loss: 1}}
		}, false},
	}
	for name, c := range replays {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := newDesk(t, newBus())
				d.hears(1, records(1, 4)...)
				again := stepRecord(3, 3)
				c.change(again)
				d.hears(2, again)
				expect(t, "bus", text(d.bus.items), "1 2 3 4")
				if got := len(d.posted) == 0; got != c.same {
					t.Fatalf("accepted as the same: %v, want %v", got, c.same)
				}
				if c.same {
					return
				}
				v := d.posted[0].(diverged)
				if v.generation != 2 || !strings.Contains(v.reason, "step 3") {
					t.Errorf("diverged says %+v", v)
				}
			})
		})
	}
}

// TestI11_NaNReplaysAsNaN: a NaN is the same bits as itself.
func TestI11_NaNReplaysAsNaN(t *testing.T) {
	nan := func() *pb.StepRecord { s := stepRecord(1, 0); s.Loss = 0 / s.Loss; return s }
	if !SameRecord(nan(), nan()) {
		t.Error("a NaN loss differs from itself")
	}
}

// TestI11_GapIsFilledFromTheCurve: what the bus never got comes from the newest checkpoint.
func TestI11_GapIsFilledFromTheCurve(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 2)...)
		d.checkpointed(6)
		d.hears(2, records(7, 8)...)
		expect(t, "bus", text(d.bus.items), "1 2 3 4 5 6 7 8")
		expect(t, "acknowledged", d.lastAck(), "8")
	})
}

// TestI11_GapIsAskedForAgain: else the worker must say it again, and nothing beyond is accepted.
func TestI11_GapIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.checkpointed(2)
		d.hears(1, records(5, 200)...)
		expect(t, "bus", text(d.bus.items), "1 2")
		if !slices.ContainsFunc(d.acks, func(a *pb.RecordsAck) bool { return a.GetResendFrom() == 3 }) {
			t.Errorf("nobody is asked for step 3: %v", d.acks)
		}
		if d.curves > 1 {
			t.Errorf("one message had the curve read %d times", d.curves)
		}
		d.hears(1, records(3, 6)...)
		expect(t, "bus", text(d.bus.items), "1 2 3 4 5 6")
		expect(t, "acknowledged", d.lastAck(), "6")
		d.hears(1, records(9, 9)...)
		if d.curves > 1 {
			t.Error("the curve was read again though it holds nothing new")
		}
	})
}

// TestI11_BusDown: watchers here see records at once; they are acknowledged once published.
func TestI11_BusDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 2)...)
		d.bus.setDown(true)
		d.hears(1, records(3, 5)...)
		tail, _, _ := d.hub.subscribe()
		expect(t, "hub", text(tail), "1 2 3 4 5")
		expect(t, "acknowledged", d.lastAck(), "2")
		d.hears(1, records(3, 5)...)
		pass(time.Minute)
		expect(t, "acknowledged", d.lastAck(), "2")
		d.bus.setDown(false)
		pass(time.Second)
		synctest.Wait()
		expect(t, "bus", text(d.bus.items), "1 2 3 4 5")
		expect(t, "acknowledged", d.lastAck(), "5")
	})
}

func event(kind pb.EventKind, index, step uint64) *pb.Event {
	return &pb.Event{Kind: kind, Index: index, Step: step}
}

// TestI11_ResumeSupersedes: after an edit, steps past the resume point are new ones, under ids
// that the bus does not take for the old.
func TestI11_ResumeSupersedes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 5)...)
		d.happens(event(pb.EventKind_RUN_STOPPED, 7, 3), event(pb.EventKind_RUN_RESUMED, 8, 3))
		d.hears(2, stepRecord(4, 40), stepRecord(5, 50))
		if len(d.posted) > 0 {
			t.Fatalf("a superseded step was compared: %+v", d.posted)
		}
		want := "1 2 3 4 5 RUN_STOPPED@7 RUN_RESUMED@8 4(40) 5(50)"
		expect(t, "bus", text(d.bus.items), want)
		d.happens(event(pb.EventKind_RUN_RESUMED, 8, 3))
		expect(t, "bus", text(d.bus.items), want)
		tail, _, _ := d.hub.subscribe()
		expect(t, "hub", text(tail), want)
		again := newDesk(t, d.bus) // the next leader learns the same
		again.hears(2, stepRecord(5, 50), stepRecord(6, 60))
		expect(t, "bus", text(d.bus.items), want+" 6(60)")
		if len(again.posted) > 0 {
			t.Errorf("the next leader compares with superseded steps: %+v", again.posted)
		}
	})
}

// TestI11_LateRecordsOfAnOlderGeneration: a worker that was cut off comes back with steps that an
// edit has superseded. They are neither accepted nor held against the new ones.
func TestI11_LateRecordsOfAnOlderGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 5)...)
		resumed := event(pb.EventKind_RUN_RESUMED, 8, 3)
		resumed.Generation = 1
		d.happens(resumed)
		d.hears(1, records(4, 7)...)
		second := stepRecord(4, 40)
		second.Generation = 2
		d.hears(2, second)
		d.hears(1, records(4, 7)...)
		expect(t, "bus", text(d.bus.items), "1 2 3 4 5 RUN_RESUMED@8 4(40)")
		if len(d.posted) > 0 {
			t.Errorf("diverged: %+v", d.posted)
		}
		if got := d.lastSeen.Load(); got != 4 {
			t.Errorf("last step seen is %d", got)
		}
	})
}

// TestI11_NextLeaderInherits: what an earlier leader published is neither published nor asked for
// again, and replays are compared with it.
func TestI11_NextLeaderInherits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bus := newBus()
		first := newDesk(t, bus)
		first.hears(1, records(1, 4)...)
		first.happens(event(pb.EventKind_CHECKPOINT_COMMITTED, 5, 4))
		first.stop()
		next := newDesk(t, bus)
		next.happens(event(pb.EventKind_CHECKPOINT_COMMITTED, 5, 4))
		next.hears(1, records(3, 6)...)
		expect(t, "bus", text(bus.items), "1 2 3 4 CHECKPOINT_COMMITTED@5 5 6")
		next.hears(2, stepRecord(2, 7))
		if len(next.posted) != 1 {
			t.Error("a replay that differs from what an earlier leader saw was accepted")
		}
	})
}

// TestHistoryThatCannotBeRead does not hold a run up for ever: telemetry is disposable.
func TestHistoryThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bus := newBus()
		bus.setDown(true)
		d := newDesk(t, bus)
		d.hears(1, records(1, 2)...)
		tail, _, _ := d.hub.subscribe()
		expect(t, "hub, before history", text(tail), "")
		pass(historyWait + time.Second)
		synctest.Wait()
		tail, _, _ = d.hub.subscribe()
		expect(t, "hub, without history", text(tail), "1 2")
	})
}

// TestI11_EndOfRunFillsTheCurve: when rank 0's worker dies with the last records, the final
// checkpoint has them, and they precede the event.
func TestI11_EndOfRunFillsTheCurve(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDesk(t, newBus())
		d.hears(1, records(1, 2)...)
		d.checkpointed(4)
		d.happens(event(pb.EventKind_RUN_SUCCEEDED, 9, 4))
		expect(t, "bus", text(d.bus.items), "1 2 3 4 RUN_SUCCEEDED@9")
	})
}

// TestPublisherQueueIsBounded: a bus that is down for long costs the oldest items, which are in the
// next checkpoint's curve; what is left keeps its order.
func TestPublisherQueueIsBounded(t *testing.T) {
	p := newPublisher("r", newBus(), zerolog.Nop())
	for _, s := range records(1, maxUnpublished+3) {
		p.add(fmt.Sprint(s.GetStep()), stepItem(s))
	}
	if n := len(p.queue); n != maxUnpublished || p.queue[0].id != "4" {
		t.Errorf("%d items wait, the first is %s", n, p.queue[0].id)
	}
	if got := p.published(maxUnpublished + 3); got != 3 {
		t.Errorf("published says %d", got)
	}
}

// TestHub: a new watcher gets the newest items; one that does not keep up loses items, and costs
// nobody anything.
func TestHub(t *testing.T) {
	h := &hub{}
	tail, slow, end := h.subscribe()
	expect(t, "tail of nothing", text(tail), "")
	for _, s := range records(1, 3*hubBuffer) {
		h.show(stepItem(s))
	}
	if len(slow) != hubBuffer {
		t.Errorf("%d items wait for a slow watcher", len(slow))
	}
	expect(t, "first item", text([]*pb.WatchItem{<-slow}), "1")
	end()
	tail, _, end = h.subscribe()
	defer end()
	if n := len(tail); n < tailItems || n >= 2*tailItems {
		t.Errorf("the tail has %d items", n)
	}
	newest := slices.Backward(tail)
	for i, item := range newest {
		if want := uint64(3*hubBuffer - (len(tail) - 1 - i)); item.GetStep().GetStep() != want {
			t.Fatalf("item %d of the tail is step %d, want %d", i, item.GetStep().GetStep(), want)
		}
	}
	if len(h.subs) != 1 {
		t.Errorf("%d watchers are subscribed", len(h.subs))
	}
}
