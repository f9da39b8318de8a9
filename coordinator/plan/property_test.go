package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

var classes = []string{"avx512", "avx2", "generic"}

func drawWorkers(t *rapid.T) []WorkerView {
	n := rapid.IntRange(0, 6).Draw(t, "workers")
	views := make([]WorkerView, n)
	for i := range views {
		views[i] = WorkerView{
			ID:         fmt.Sprintf("w%d", i),
			Devices:    rapid.IntRange(0, 4).Draw(t, "devices"),
			Live:       rapid.IntRange(0, 3).Draw(t, "live") > 0,
			ISAClasses: classes[rapid.IntRange(0, 2).Draw(t, "best"):],
			Busy:       rapid.SampledFrom([]int{0, 0, 0, 1, 9}).Draw(t, "busy"),
		}
	}
	return views
}

func drawRun(t *rapid.T, id string) *pb.Run {
	low := rapid.Uint32Range(1, 4).Draw(t, "min")
	return &pb.Run{Id: id, State: pb.RunState_PENDING,
		IsaClass: rapid.SampledFrom([]string{"", "", "avx512", "generic"}).Draw(t, "pinned"),
		Resolved: &pb.ResolvedRun{Spec: &pb.RunSpec{
			Train: &pb.Train{LogicalShards: rapid.Uint32Range(1, 8).Draw(t, "shards")},
			Resources: &pb.Resources{
				Priority: rapid.Int32Range(-1, 1).Draw(t, "priority"),
				Workers:  &pb.Range{Min: low, Max: low + rapid.Uint32Range(0, 6).Draw(t, "more")}},
		}}}
}

// TestGangIsSound: whatever the cluster, a gang respects every rule, and its absence is explained.
func TestGangIsSound(t *testing.T) {
	placed := 0
	rapid.Check(t, func(t *rapid.T) {
		views, run := drawWorkers(t), drawRun(t, "r")
		p, reason, ok := Gang(run, views)
		if reason == "" {
			t.Fatal("a decision without a reason")
		}
		shuffled := rapid.Permutation(views).Draw(t, "order")
		q, _, _ := Gang(run, shuffled)
		if !proto.Equal(&pb.AssignGeneration{Ranks: p.Ranks}, &pb.AssignGeneration{Ranks: q.Ranks}) ||
			p.ISAClass != q.ISAClass {
			t.Fatalf("the order of workers decides: %v, %v", p, q)
		}
		if !ok {
			return
		}
		placed++
		checkGang(t, run, views, p)
	})
	if placed == 0 {
		t.Fatal("no gang was ever placed: the test shows nothing")
	}
}

func checkGang(t *rapid.T, run *pb.Run, views []WorkerView, p Placement) {
	spec := run.Resolved.Spec
	n := uint32(len(p.Ranks))
	if n < spec.Resources.Workers.Min || n > spec.Resources.Workers.Max ||
		n > spec.Train.LogicalShards {
		t.Fatalf("%d ranks for %v", n, spec)
	}
	if run.IsaClass != "" && p.ISAClass != run.IsaClass {
		t.Fatalf("ISA class %q, pinned %q", p.ISAClass, run.IsaClass)
	}
	perWorker := map[string]int{}
	seen := map[string]bool{}
	for i, r := range p.Ranks {
		w := views[slices.IndexFunc(views, func(w WorkerView) bool { return w.ID == r.Worker })]
		device := fmt.Sprint(r.Worker, r.Device)
		if r.Rank != uint32(i) || !w.Live || !slices.Contains(w.ISAClasses, p.ISAClass) ||
			int(r.Device) >= w.Devices || seen[device] {
			t.Fatalf("rank %v on %v, before it %v", r, w, seen)
		}
		if i > 0 && p.Ranks[i-1].Worker > r.Worker {
			t.Fatalf("ranks do not follow the worker ids: %v", p.Ranks)
		}
		seen[device] = true
		if perWorker[r.Worker]++; perWorker[r.Worker] > w.Devices-w.Busy {
			t.Fatalf("worker %v serves %d ranks", w, perWorker[r.Worker])
		}
	}
}

// TestNextNeverGivesADeviceTwice: all decisions of one call, and the live runs, hold each device
// at most once, and every waiting run gets one decision with a reason.
func TestNextNeverGivesADeviceTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views, st := drawWorkers(t), &pb.ClusterState{}
		for i := range rapid.IntRange(0, 5).Draw(t, "runs") {
			st.Runs = append(st.Runs, drawRun(t, fmt.Sprintf("r%d", i)))
		}
		held := map[string]string{}
		for round := range 3 {
			waiting := len(queue(st, pb.RunState_PENDING))
			decisions := Next(st, views)
			if len(decisions) != waiting {
				t.Fatalf("%d decisions for %d waiting runs", len(decisions), waiting)
			}
			for _, d := range decisions {
				if d.Reason == "" || d.Place != (d.Assign(0) != nil) {
					t.Fatalf("decision %+v", d)
				}
				for _, p := range d.Placement.Ranks {
					key := fmt.Sprintf("%s/%d", p.Worker, p.Device)
					if held[key] != "" {
						t.Fatalf("round %d: %s goes to %s, %s has it", round, key, d.Run, held[key])
					}
					held[key] = d.Run
				}
				carryOut(st, d)
			}
		}
	})
}

// TestMoveKeepsItsWord: the run that ends for a larger world gets one, in which the busiest rank
// has less to do, and then asks for no more.
func TestMoveKeepsItsWord(t *testing.T) {
	grown := 0
	rapid.Check(t, func(t *rapid.T) {
		st, few := &pb.ClusterState{}, drawWorkers(t)
		for i := range rapid.IntRange(1, 4).Draw(t, "runs") {
			r := drawRun(t, fmt.Sprintf("r%d", i))
			r.Resolved.TotalSteps, r.Resolved.Spec.Checkpoint = 100, &pb.Checkpoint{Every: 5}
			st.Runs = append(st.Runs, r)
		}
		for _, d := range Next(st, few) {
			carryOut(st, d)
		}
		for _, r := range st.Runs {
			if state.Live(r) {
				r.State, r.IsaClass = pb.RunState_RUNNING, "avx2"
				r.Checkpoints = []*pb.CheckpointRef{{Step: 10, Generation: r.Generation}}
			}
		}
		many := append(few, WorkerView{ID: "zz", Devices: 4, Live: true, ISAClasses: []string{"avx2"}})
		moves := Moves(st, many)
		if len(moves) == 0 {
			return
		}
		g := moves[0]
		grown++
		run := st.Runs[slices.IndexFunc(st.Runs, func(r *pb.Run) bool { return r.Id == g.Run })]
		before := len(run.Ranks)
		run.State, run.Ranks = pb.RunState_PENDING, nil
		for _, d := range Next(st, many) {
			carryOut(st, d)
		}
		after := len(run.Ranks)
		if after == 0 || largestShare(run, after) >= largestShare(run, before) {
			t.Fatalf("%s: %d ranks, then %d", g.Reason, before, after)
		}
		run.State = pb.RunState_RUNNING
		run.Checkpoints[0].Generation = run.Generation
		if again := Moves(st, many); len(again) > 0 && again[0].Run == g.Run {
			t.Fatalf("%s, and then: %s", g.Reason, again[0].Reason)
		}
	})
	if grown == 0 {
		t.Fatal("no run ever grew: the test shows nothing")
	}
}

func carryOut(st *pb.ClusterState, d Decision) {
	for _, r := range st.Runs {
		if r.Id == d.Run && d.Place {
			r.State, r.Ranks, r.Generation = pb.RunState_ASSIGNED, d.Placement.Ranks, d.Generation
		}
	}
}
