package state

import (
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI11_ResumesAreKeptLongest: the events kept with a run are bounded, and a resume outlives
// younger events of other kinds, because it says which steps of the history are superseded.
func TestI11_ResumesAreKeptLongest(t *testing.T) {
	m := New()
	index := uint64(0)
	do := func(cmd *pb.Command) {
		t.Helper()
		index++
		if res := m.Apply(index, cmd); res.Code != pb.ApplyResult_OK {
			t.Fatalf("%v: %v", cmd, res)
		}
	}
	stop := &pb.Command{Command: &pb.Command_Stop{Stop: &pb.StopRun{Run: "r1"}}}
	resume := &pb.Command{Command: &pb.Command_Resume{Resume: &pb.ResumeRun{Run: "r1"}}}
	do(launch("r1", 5, ""))
	resumes := func() (n int) {
		r, _ := m.Run("r1")
		if len(r.Events) > MaxEvents {
			t.Fatalf("%d events are kept, limit %d", len(r.Events), MaxEvents)
		}
		for _, e := range r.Events {
			if e.Kind == pb.EventKind_RUN_RESUMED {
				n++
			}
		}
		return n
	}
	for range MaxEvents - 1 {
		do(stop)
		do(resume)
	}
	if got := resumes(); got != MaxEvents-1 {
		t.Errorf("%d resumes are kept of %d", got, MaxEvents-1)
	}
	for range 3 {
		do(stop)
		do(resume)
	}
	if r, _ := m.Run("r1"); resumes() != MaxEvents || r.Events[MaxEvents-1].Index != index {
		t.Errorf("the newest event is lost: %v", r.Events[MaxEvents-1])
	}
}
