package state

import (
	"bytes"
	"fmt"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestI6_SameLogSameBytes plays one random log on three members: one straight through, one that
// goes through a snapshot in the middle, one that sees each command decoded from the wire.
func TestI6_SameLogSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		a, b, c := New(), New(), New()
		for i, cmd := range log {
			if i == cut {
				b = through(t, b)
			}
			ra := a.Apply(uint64(i+1), cmd)
			rb := b.Apply(uint64(i+1), proto.CloneOf(cmd))
			rc := c.Apply(uint64(i+1), rewire(t, cmd))
			if !proto.Equal(ra, rb) || !proto.Equal(ra, rc) {
				t.Fatalf("results differ at %d: %v, %v, %v", i, ra, rb, rc)
			}
		}
		if sa := bytesOf(t, a); !bytes.Equal(sa, bytesOf(t, b)) || !bytes.Equal(sa, bytesOf(t, c)) {
			t.Fatalf("states differ:\n%v\n%v\n%v", a.State(), b.State(), c.State())
		}
	})
}

// TestI1_RandomCommands throws random commands, most of them wrong, at a machine and checks after
// each that the invariants hold, that a refusal changes nothing but the index, and that what was
// committed is what is live.
func TestI1_RandomCommands(t *testing.T) {
	commits := 0
	rapid.Check(t, func(t *rapid.T) {
		m := New()
		for i, cmd := range drawLog(t) {
			before := m.State()
			res := m.Apply(uint64(i+1), cmd)
			after := m.State()
			if err := Check(after); err != nil {
				t.Fatalf("after %v: %v", cmd, err)
			}
			if res.Code != pb.ApplyResult_OK || res.Replayed {
				before.AppliedIndex = after.AppliedIndex
				if res.Code == pb.ApplyResult_OK {
					before.Requests = after.Requests // a second stop, too, remembers its id
				}
				if !proto.Equal(before, after) || len(res.Events) > 0 {
					t.Fatalf("%v answered %v but changed the state", cmd, res)
				}
				continue
			}
			if k := cmd.GetCommitCheckpoint().GetCheckpoint(); k != nil {
				commits++
				checkCommit(t, before, after, cmd)
			}
		}
	})
	if commits == 0 {
		t.Fatal("no random log committed a checkpoint: the test shows nothing")
	}
}

// checkCommit asserts the fence from outside: the run was live in that very generation, and the
// new checkpoint stands last, above all others.
func checkCommit(t *rapid.T, before, after *pb.ClusterState, cmd *pb.Command) {
	x := cmd.GetCommitCheckpoint()
	was, is := maybeRun(before, x.Run), maybeRun(after, x.Run)
	if was.Generation != x.Checkpoint.Generation || len(was.Ranks) == 0 {
		t.Fatalf("generation %d committed while the run was %v", x.Checkpoint.Generation, was)
	}
	for _, k := range was.Checkpoints {
		if k.Step >= x.Checkpoint.Step {
			t.Fatalf("step %d committed after step %d", x.Checkpoint.Step, k.Step)
		}
	}
	if last := is.Checkpoints[len(is.Checkpoints)-1]; !proto.Equal(last, x.Checkpoint) {
		t.Fatalf("committed %v, the newest is %v", x.Checkpoint, last)
	}
}

// drawLog draws commands from a small world, so that they meet. It opens with workers and a run,
// and follows the run's generation roughly, so that many commands are valid.
func drawLog(t *rapid.T) []*pb.Command {
	log := []*pb.Command{
		worker("w1", 2), worker("w2", 1), launch("r1", 9, ""), launch("r2", 5, ""),
	}
	gens := map[string]uint64{}
	n := rapid.IntRange(0, 60).Draw(t, "commands")
	for range n {
		log = append(log, drawCommand(t, gens))
	}
	return log
}

func drawCommand(t *rapid.T, gens map[string]uint64) *pb.Command {
	run := rapid.SampledFrom([]string{"r1", "r1", "r1", "r2", "r3"}).Draw(t, "run")
	gen := gens[run]
	if rapid.IntRange(0, 5).Draw(t, "stale") == 0 {
		gen = rapid.Uint64Range(0, gen+2).Draw(t, "generation")
	}
	step := rapid.Uint64Range(0, 10).Draw(t, "step")
	id := rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "id")
	cmd := &pb.Command{RequestId: id, UnixMs: int64(step)}
	switch rapid.IntRange(0, 15).Draw(t, "kind") {
	case 0:
		return launch(run, step, id)
	case 1:
		cmd.Command = &pb.Command_Stop{Stop: &pb.StopRun{Run: run}}
	case 2:
		cmd.Command = &pb.Command_Resume{Resume: &pb.ResumeRun{Run: run}}
	case 3, 4, 5:
		gens[run] = gen + 1
		cmd.Command = &pb.Command_Assign{Assign: &pb.AssignGeneration{
			Run: run, Generation: gen + 1, Ranks: drawRanks(t), IsaClass: "avx2",
			ResumeStep: step * rapid.Uint64Range(0, 1).Draw(t, "resume"), LastSeenStep: step}}
	case 6:
		cmd.Command = &pb.Command_Running{Running: &pb.MarkRunning{Run: run, Generation: gen}}
	case 7:
		cmd.Command = &pb.Command_EndGeneration{EndGeneration: &pb.EndGeneration{Run: run,
			Generation: gen, Reason: "lost", Fatal: step == 10,
			Spike: step * rapid.Uint64Range(0, 1).Draw(t, "spike")}}
	case 8, 9:
		cmd.Command = &pb.Command_CommitCheckpoint{CommitCheckpoint: &pb.CommitCheckpoint{Run: run,
			Checkpoint: &pb.CheckpointRef{Step: step, Generation: gen, Uri: "u", Digest: "d"}}}
	case 10:
		cmd.Command = &pb.Command_RetireCheckpoint{RetireCheckpoint: &pb.RetireCheckpoint{Run: run,
			Step: step, Generation: gen}}
	case 11:
		cmd.Command = &pb.Command_MarkCorrupt{MarkCorrupt: &pb.MarkCheckpointCorrupt{Run: run,
			Step: step, Generation: gen}}
	case 13, 14:
		cmd.Command = &pb.Command_SetWeights{SetWeights: &pb.SetWeights{Run: run,
			Resolved: resolved(map[string]uint64{"r1": 9, "r2": 5}[run], 4, ""), FromStep: step,
			LastSeenStep: step / 3}}
	case 15:
		cmd.Command = &pb.Command_Drain{Drain: &pb.DrainWorker{Back: step > 2,
			Worker: rapid.SampledFrom([]string{"w1", "w2", "w9"}).Draw(t, "worker")}}
	case 12:
		cmd.Command = &pb.Command_Finish{Finish: &pb.FinishRun{Run: run, Generation: gen,
			State: pb.RunState(rapid.IntRange(0, 7).Draw(t, "state"))}}
	}
	return cmd
}

func drawRanks(t *rapid.T) []*pb.RankPlace {
	var ranks []*pb.RankPlace
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 2, 3, 0, 4}).Draw(t, "ranks")
	for i := range n {
		// w1/0, w1/1, w2/0, w2/1 (which is not there)
		ranks = append(ranks, &pb.RankPlace{Rank: uint32(i),
			Worker: fmt.Sprintf("w%d", 1+i/2), Device: uint32(i % 2)})
	}
	return ranks
}

func worker(id string, devices uint32) *pb.Command {
	return &pb.Command{Command: &pb.Command_RegisterWorker{RegisterWorker: &pb.RegisterWorker{
		Worker: &pb.WorkerInfo{Id: id, Devices: devices}}}}
}

func launch(run string, total uint64, id string) *pb.Command {
	x := resolved(total, 4, "")
	x.Spec.Train.Spike = &pb.Spike{Back: 2, Ahead: 1, MaxRewinds: 3}
	return &pb.Command{RequestId: id, Command: &pb.Command_Launch{Launch: &pb.LaunchRun{
		Run: run, Resolved: x}}}
}

func through(t *rapid.T, m *Machine) *Machine {
	n := New()
	if err := n.Restore(bytesOf(t, m)); err != nil {
		t.Fatal(err)
	}
	return n
}

func bytesOf(t *rapid.T, m *Machine) []byte {
	b, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rewire(t *rapid.T, cmd *pb.Command) *pb.Command {
	b, err := proto.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	out := &pb.Command{}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}
