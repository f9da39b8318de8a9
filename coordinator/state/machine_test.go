package state

import (
	"fmt"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// TestI5_RequestsAreBounded fills the memory of request ids: the oldest is forgotten, the newest
// MaxRequests are not.
func TestI5_RequestsAreBounded(t *testing.T) {
	m := New()
	n := MaxRequests + 10
	for i := range n {
		res := m.Apply(uint64(i+1), launch(fmt.Sprintf("r%d", i), 5, fmt.Sprintf("id%d", i)))
		if res.Code != pb.ApplyResult_OK || res.Replayed {
			t.Fatalf("launch %d: %v", i, res)
		}
	}
	if got := len(m.st.Requests); got != MaxRequests {
		t.Errorf("%d request ids remembered, want %d", got, MaxRequests)
	}
	if run, ok := m.Request("id10"); !ok || run != "r10" {
		t.Errorf("the oldest remembered request answers %q, %v; want r10", run, ok)
	}
	if _, ok := m.Request("id9"); ok {
		t.Error("a request beyond the bound is still remembered")
	}
	res := m.Apply(uint64(n+1), launch("other", 5, "id10"))
	if !res.Replayed || res.Run != "r10" {
		t.Errorf("retry answers %v, want the first outcome r10", res)
	}
}

// TestI5_RefusedRequestIsJudgedAnew: only outcomes that changed something are remembered.
func TestI5_RefusedRequestIsJudgedAnew(t *testing.T) {
	m := New()
	stop := &pb.Command{RequestId: "s", Command: &pb.Command_Stop{Stop: &pb.StopRun{Run: "r1"}}}
	if res := m.Apply(1, stop); res.Code != pb.ApplyResult_NOT_FOUND {
		t.Fatalf("stop of no run: %v", res)
	}
	m.Apply(2, launch("r1", 5, "l"))
	if res := m.Apply(3, stop); res.Code != pb.ApplyResult_OK || res.Replayed {
		t.Errorf("stop after launch: %v, want a first OK", res)
	}
}

// TestApplyRefusesOldIndex: an entry delivered twice must not act twice.
func TestApplyRefusesOldIndex(t *testing.T) {
	m := New()
	m.Apply(7, launch("r1", 5, ""))
	if res := m.Apply(7, launch("r2", 5, "")); res.Code != pb.ApplyResult_CONFLICT {
		t.Errorf("index 7 twice: %v", res)
	}
	if _, ok := m.Run("r2"); ok || m.AppliedIndex() != 7 {
		t.Errorf("an old index changed the state: %v", m.State())
	}
}

// TestApplyNeverPanics feeds what a hostile or broken proposer could: nil and empty messages.
func TestApplyNeverPanics(t *testing.T) {
	cmds := []*pb.Command{
		nil, {}, {RequestId: "x"},
		{Command: &pb.Command_Launch{}}, {Command: &pb.Command_Stop{}},
		{Command: &pb.Command_Resume{}}, {Command: &pb.Command_RegisterWorker{}},
		{Command: &pb.Command_RegisterWorker{RegisterWorker: &pb.RegisterWorker{}}},
		{Command: &pb.Command_Assign{}}, {Command: &pb.Command_Running{}},
		{Command: &pb.Command_EndGeneration{}}, {Command: &pb.Command_CommitCheckpoint{}},
		{Command: &pb.Command_CommitCheckpoint{CommitCheckpoint: &pb.CommitCheckpoint{Run: "r1"}}},
		{Command: &pb.Command_RetireCheckpoint{}}, {Command: &pb.Command_MarkCorrupt{}},
		{Command: &pb.Command_Finish{}}, {Command: &pb.Command_Drain{}},
		{Command: &pb.Command_Drain{Drain: &pb.DrainWorker{Back: true}}},
		{Command: &pb.Command_Assign{Assign: &pb.AssignGeneration{Run: "r1", Generation: 1,
			IsaClass: "avx2", Ranks: []*pb.RankPlace{nil}}}},
	}
	m := New()
	m.Apply(1, launch("r1", 5, ""))
	for i, cmd := range cmds {
		if res := m.Apply(uint64(i+2), cmd); res.Code == pb.ApplyResult_OK {
			t.Errorf("%v answered OK", cmd)
		}
	}
}

// TestRestoreRefusesBrokenState: a snapshot that breaks an invariant leaves the machine as it was.
func TestRestoreRefusesBrokenState(t *testing.T) {
	k := func(step, gen uint64) *pb.CheckpointRef {
		return &pb.CheckpointRef{Step: step, Generation: gen, Uri: "u", Digest: "d"}
	}
	base := pb.Run{Id: "r", State: pb.RunState_PENDING, Generation: 2, Resolved: resolved(9, 4, "")}
	run := func(edit func(*pb.Run)) *pb.ClusterState {
		r := proto.CloneOf(&base)
		edit(r)
		return &pb.ClusterState{Runs: []*pb.Run{r}}
	}
	cases := map[string]*pb.ClusterState{
		"(I1)": run(func(r *pb.Run) {
			r.Checkpoints = []*pb.CheckpointRef{k(3, 1), k(3, 2)}
		}),
		"generation 1 after": run(func(r *pb.Run) {
			r.Checkpoints = []*pb.CheckpointRef{k(3, 2), k(4, 1)}
		}),
		"at generation 2": run(func(r *pb.Run) { r.Checkpoints = []*pb.CheckpointRef{k(3, 3)} }),
		"RUNNING with 0 ranks": run(func(r *pb.Run) {
			r.State = pb.RunState_RUNNING
		}),
		"SUCCEEDED at step 0 of 9": run(func(r *pb.Run) { r.State = pb.RunState_SUCCEEDED }),
		"stop requested":           run(func(r *pb.Run) { r.StopRequested = true }),
		"is none":                  run(func(r *pb.Run) { r.State = 0 }),
		"stands twice":             {Runs: []*pb.Run{&base, &base}},
		`"a" stands after "b"`:     {Workers: []*pb.WorkerInfo{{Id: "b"}, {Id: "a"}}},
	}
	m := New()
	m.Apply(1, launch("r1", 5, ""))
	for want, st := range cases {
		b, err := proto.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Restore(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("restore says %v, want %q", err, want)
		}
	}
	if err := m.Restore([]byte{0xff}); err == nil {
		t.Error("garbage was restored")
	}
	if _, ok := m.Run("r1"); !ok {
		t.Error("a refused snapshot changed the machine")
	}
}

// TestAccessorsReturnCopies: what a caller does to an answer never reaches the state, and the
// machine keeps no reference to a command.
func TestAccessorsReturnCopies(t *testing.T) {
	m := New()
	cmd := launch("r1", 5, "")
	m.Apply(1, cmd)
	m.Apply(2, worker("w1", 1))
	want := digest(t, m)
	cmd.GetLaunch().Resolved.TotalSteps = 99
	r, _ := m.Run("r1")
	r.State = pb.RunState_FAILED
	m.Runs()[0].Resolved.TotalSteps = 99
	m.Workers()[0].Devices = 99
	m.State().Runs = nil
	if got := digest(t, m); got != want {
		t.Errorf("the state changed through a copy: %s, was %s", got, want)
	}
	if _, ok := m.Run("r9"); ok {
		t.Error("a run that is not there was found")
	}
}

// TestI4_StrandedRunsFail: when every checkpoint is corrupt, or the only sound ones are from
// before an edit, the run fails and says so. It does not start again from its base model (P7).
func TestI4_StrandedRunsFail(t *testing.T) {
	for _, edited := range []uint64{0, 20} {
		r := &pb.Run{Id: "r1", EditedStep: edited, Checkpoints: []*pb.CheckpointRef{
			{Step: 10, Uri: "s3://c/10", Corrupt: edited == 0}, {Step: 20, Uri: "s3://c/20"}}}
		if n := Newest(r); n.GetStep() != 20 || Stranded(r) != "" {
			t.Fatalf("edited %d: newest %d, stranded %q", edited, n.GetStep(), Stranded(r))
		}
		r.Checkpoints[1].Corrupt = true
		if n, why := Newest(r), Stranded(r); n != nil || !strings.Contains(why, "s3://c/20") {
			t.Fatalf("edited %d: newest %v, stranded %q", edited, n, why)
		}
	}
}

// TestEventsAreKept: the newest events travel with their run, bounded.
func TestEventsAreKept(t *testing.T) {
	c := &change{st: &pb.ClusterState{Runs: []*pb.Run{{Id: "r1"}}}, out: &pb.ApplyResult{Run: "r1"}}
	for i := range uint64(MaxEvents + 5) {
		c.out.Events = []*pb.Event{{Index: i}}
		c.keepEvents()
	}
	events := c.st.Runs[0].Events
	if len(events) != MaxEvents || events[0].Index != 5 || events[MaxEvents-1].Index != MaxEvents+4 {
		t.Fatalf("%d events, from %d to %d", len(events), events[0].Index, events[len(events)-1].Index)
	}
}
