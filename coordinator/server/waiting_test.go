package server

import (
	"fmt"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestWatchTellsWhyARunWaits: once, behind the history, again when the reason changes, and not any
// more when the run is placed.
func TestWatchTellsWhyARunWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := newTheatre(t)
		th.play(oneRank + "launch r2 steps=4 workers=1..1 keep=1\n")
		th.watch(&pb.WatchRequest{Run: "r2"})
		waits := func() (list []string) {
			for i, item := range th.viewer.items {
				if e := item.GetEvent(); e.GetKind() == pb.EventKind_WAITING {
					list = append(list, e.GetText())
				} else if len(list) > 0 && e.GetKind() == pb.EventKind_RUN_LAUNCHED {
					t.Errorf("item %d is history behind a wait: %s", i, text(th.viewer.items))
				}
			}
			return list
		}
		expect(t, "at once", fmt.Sprint(waits()), "[]")
		const held = "needs 1 free device of one ISA class, has 0: 1 of 1 worker live with 1 device; " +
			"run r1 holds 1"
		th.play("wait 3s\n")
		expect(t, "another run has the device", fmt.Sprint(waits()), "[waits: "+held+"]")
		run, err := runService{m: th.member}.GetRun(t.Context(), &pb.GetRunRequest{Run: "r2"})
		must(t, err)
		expect(t, "the run's reason", run.GetReason(), held)

		th.play("close w1\nwait 2s\n")
		const gone = "needs 1 free device of one ISA class, has 0: 0 of 1 worker live with 0 devices"
		expect(t, "the worker is gone", fmt.Sprint(waits()), "[waits: "+held+" waits: "+gone+"]")
		th.play("worker w2\nwait 2s\n")
		run, err = runService{m: th.member}.GetRun(t.Context(), &pb.GetRunRequest{Run: "r2"})
		must(t, err)
		if run.GetState() == pb.RunState_PENDING || len(waits()) != 2 {
			t.Errorf("with another worker: %v, watchers heard %q", run.GetState(), waits())
		}
		th.leave()
		_ = th.over(t)
	})
}
