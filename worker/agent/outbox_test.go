package agent

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

var k1 = key{"r", 1, 0}

func rec(step uint64) *pb.StepRecord { return &pb.StepRecord{Step: step} }

func ack(step, resend uint64) *pb.RecordsAck {
	return &pb.RecordsAck{Run: "r", Generation: 1, Step: step, ResendFrom: resend}
}

func phase(k key, p pb.RankPhase) *pb.RankReport {
	return &pb.RankReport{Run: k.run, Generation: k.generation, Rank: k.rank, Phase: p}
}

func shardOf(k key, step uint64) *pb.ShardReport {
	return &pb.ShardReport{Run: k.run, Generation: k.generation, Rank: k.rank, Step: step}
}

// said writes messages as "records r/1 3,4; shard r/1/0 2; inventory r/1/0=DONE".
func said(list []*pb.WorkerMessage) string {
	var out []string
	for _, m := range list {
		switch m := m.GetMessage().(type) {
		case *pb.WorkerMessage_Records:
			var steps []string
			for _, r := range m.Records.GetRecords() {
				steps = append(steps, fmt.Sprint(r.GetStep()))
			}
			out = append(out, fmt.Sprintf("records %s/%d %s", m.Records.GetRun(),
				m.Records.GetGeneration(), strings.Join(steps, ",")))
		case *pb.WorkerMessage_Shard:
			s := m.Shard
			out = append(out, fmt.Sprintf("shard %s/%d/%d %d", s.GetRun(), s.GetGeneration(),
				s.GetRank(), s.GetStep()))
		case *pb.WorkerMessage_Rank:
			out = append(out, "rank "+reportText(m.Rank))
		case *pb.WorkerMessage_Inventory:
			text := "inventory"
			for _, r := range m.Inventory.GetRanks() {
				text += " " + reportText(r)
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

func reportText(r *pb.RankReport) string {
	return fmt.Sprintf("%s/%d/%d=%s", r.GetRun(), r.GetGeneration(), r.GetRank(), r.GetPhase())
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestNewLeaderHearsEverything: records first, because DONE says that all of them came before it.
func TestNewLeaderHearsEverything(t *testing.T) {
	o := newOutbox()
	expect(t, "of nothing", said(o.everything()), "inventory")
	for step := range uint64(4) {
		o.record(k1, rec(step+1))
	}
	o.shard(shardOf(k1, 4))
	o.shard(shardOf(k1, 2))
	o.report(phase(k1, pb.RankPhase_STEPPING))
	o.report(phase(k1, pb.RankPhase_DONE))
	want := "records r/1 1,2,3,4; shard r/1/0 2; shard r/1/0 4; inventory r/1/0=DONE"
	expect(t, "everything", said(o.everything()), want)
	expect(t, "everything again", said(o.everything()), want)
	expect(t, "resent", said(o.acknowledge(ack(2, 0))), "")
	o.committed(k1, 2)
	expect(t, "the rest", said(o.everything()), "records r/1 3,4; shard r/1/0 4; inventory r/1/0=DONE")
}

func TestAcknowledge(t *testing.T) {
	for _, c := range []struct {
		name       string
		ack        *pb.RecordsAck
		again, all string
	}{
		// What is published is kept for the next leader, until a checkpoint holds it.
		{"some", ack(4, 0), "", "records r/1 3,4,5,6"},
		{"all", ack(6, 0), "", "records r/1 3,4,5,6"},
		{"nothing", ack(0, 0), "", "records r/1 3,4,5,6"},
		{"a gap", ack(3, 4), "records r/1 4,5,6", "records r/1 3,4,5,6"},
		{"a gap that was never heard", ack(0, 3), "records r/1 3,4,5,6", "records r/1 3,4,5,6"},
		// Saying again what the leader cannot use would go round for ever.
		{"a gap before what there is", ack(0, 1), "", "records r/1 3,4,5,6"},
		{"another generation", &pb.RecordsAck{Run: "r", Generation: 2, Step: 6, ResendFrom: 3}, "",
			"records r/1 3,4,5,6"},
		{"another run", &pb.RecordsAck{Run: "q", Generation: 1, Step: 6}, "", "records r/1 3,4,5,6"},
	} {
		o := newOutbox()
		o.report(phase(k1, pb.RankPhase_STEPPING))
		for step := uint64(3); step <= 6; step++ {
			o.record(k1, rec(step))
		}
		expect(t, c.name+": said again", said(o.acknowledge(c.ack)), c.again)
		all, _, _ := strings.Cut(said(o.everything()), "inventory")
		expect(t, c.name+": kept", strings.TrimSuffix(all, "; "), c.all)
	}
}

// TestOverdue: what was not acknowledged between two looks is said again.
func TestOverdue(t *testing.T) {
	o := newOutbox()
	o.record(k1, rec(1))
	expect(t, "first look", said(o.overdue()), "")
	o.record(k1, rec(2))
	expect(t, "second look", said(o.overdue()), "records r/1 1,2")
	o.acknowledge(ack(1, 0))
	expect(t, "after an answer", said(o.overdue()), "")
	expect(t, "and no more", said(o.overdue()), "records r/1 2")
	o.acknowledge(ack(2, 0))
	o.overdue()
	expect(t, "of nothing", said(o.overdue()), "")
}

// TestForget: a dead rank's records will be made again; a finished one's are in its checkpoint.
func TestForget(t *testing.T) {
	for _, p := range []pb.RankPhase{pb.RankPhase_DEAD, pb.RankPhase_DONE} {
		o := newOutbox()
		o.record(k1, rec(1))
		o.shard(shardOf(k1, 1))
		o.report(phase(k1, p))
		before := said(o.everything())
		o.forget(func(key) bool { return false })
		expect(t, p.String()+" and desired", said(o.everything()), before)
		o.forget(func(k key) bool { return k == k1 })
		expect(t, p.String(), said(o.everything()), "inventory")
		if len(o.records)+len(o.reports)+len(o.shards) > 0 {
			t.Errorf("%s: something is kept for ever: %+v", p, o)
		}
	}
}

func TestEnded(t *testing.T) {
	o := newOutbox()
	for p, want := range map[pb.RankPhase]bool{pb.RankPhase_STARTING: false,
		pb.RankPhase_STEPPING: false, pb.RankPhase_DEAD: true, pb.RankPhase_DONE: true} {
		o.report(phase(k1, p))
		if o.ended(k1) != want {
			t.Errorf("%s: ended %v", p, o.ended(k1))
		}
	}
	if o.ended(key{"r", 2, 0}) {
		t.Error("a rank that said nothing has ended")
	}
}

// TestRecordsAreBounded: a leader that never acknowledges costs the oldest records.
func TestRecordsAreBounded(t *testing.T) {
	o := newOutbox()
	for step := range uint64(3 * maxKeptRecords) {
		o.record(k1, rec(step+1))
		if n := len(o.records[k1].list); n > maxKeptRecords {
			t.Fatalf("%d records are kept", n)
		}
	}
	list := o.records[k1].list
	if len(list) < maxKeptRecords/2 || list[len(list)-1].GetStep() != 3*maxKeptRecords {
		t.Errorf("%d are kept, up to step %d", len(list), list[len(list)-1].GetStep())
	}
	for i := range list[1:] {
		if list[i+1].GetStep() != list[i].GetStep()+1 {
			t.Fatalf("step %d follows step %d", list[i+1].GetStep(), list[i].GetStep())
		}
	}
}

// TestI11_NothingUnacknowledgedIsLost: a leader that loses messages, loses its session and answers
// with gaps still gets every record once it listens, in order.
func TestI11_NothingUnacknowledgedIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		o.report(phase(k1, pb.RankPhase_STEPPING))
		made, have := uint64(0), uint64(0)
		hear := func(list []*pb.WorkerMessage) (resend bool) {
			for _, m := range list {
				last := uint64(0)
				for _, r := range m.GetRecords().GetRecords() {
					if last > 0 && r.GetStep() != last+1 {
						t.Fatalf("step %d after step %d in one message", r.GetStep(), last)
					}
					last = r.GetStep()
					if last == have+1 {
						have = last
					}
				}
				resend = resend || last > have
			}
			return resend
		}
		answer := func(resend bool) {
			a := ack(have, 0)
			if resend {
				a.ResendFrom = have + 1
			}
			hear(o.acknowledge(a))
		}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0, 1:
				made++
				if m := o.record(k1, rec(made)); rapid.Bool().Draw(t, "heard") {
					answer(hear([]*pb.WorkerMessage{m}))
				}
			case 2:
				hear(o.everything())
			case 3:
				answer(false)
			case 4:
				hear(o.overdue())
			case 5:
				o.forget(func(key) bool { return false })
			}
		}
		answer(hear(o.everything()))
		if have != made {
			t.Fatalf("%d steps were made, the leader has %d", made, have)
		}
		o.committed(k1, made)
		if q := o.records[k1]; q != nil && len(q.list) > 0 {
			t.Fatalf("%d records are kept that a checkpoint holds", len(q.list))
		}
	})
}
