package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// lateTold is what the viewer was told of checkpoints that are late.
func (th *theatre) lateTold() []*pb.Event {
	var out []*pb.Event
	for _, item := range th.viewer.items {
		switch e := item.GetEvent(); e.GetKind() {
		case pb.EventKind_CHECKPOINT_LATE, pb.EventKind_CHECKPOINT_BACK:
			out = append(out, e)
		}
	}
	return out
}

// saysLate has a rank say that its part of a checkpoint is late, or, with nil, that nothing is.
func (s *stage) saysLate(worker, rank string, late *pb.Unwritten) {
	r := report(rank, map[string]string{"phase": "STEPPING", "step": "3"})
	r.Unwritten = late
	s.say(worker, &pb.WorkerMessage{Message: &pb.WorkerMessage_Rank{Rank: r}})
	synctest.Wait()
}

// TestLateCheckpointIsTold: once when it is refused, once more when training waits for it, and when
// it is written; who lists the run reads it too. A rank that dies ends nothing of that.
func TestLateCheckpointIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTheatre(t)
		s.play(twoRanks)
		s.watch(&pb.WatchRequest{Run: "r1"})
		late := &pb.Unwritten{Step: 2, Uri: "s3://ckpt/r1/step-00000002/gen-1", Reason: "store is full",
			SinceUnixMs: time.Date(2026, 11, 26, 10, 31, 5, 0, time.UTC).UnixMilli()}
		s.saysLate("w2", "r1/1/1", late)
		s.play("wait 1s\n")
		s.saysLate("w2", "r1/1/1", late)
		s.play("wait 1s\n")
		waits := proto.CloneOf(late)
		waits.Blocking = true
		s.saysLate("w1", "r1/1/0", waits)
		s.saysLate("w1", "r1/1/0", waits)
		run := s.run(t)
		s.lead.explain(run)
		for _, part := range []string{"running on 2 ranks", "store is full", "training waits"} {
			if !strings.Contains(run.GetReason(), part) {
				t.Errorf("the run's reason %q lacks %q", run.GetReason(), part)
			}
		}
		s.play("wait 88s\n")
		s.saysLate("w1", "r1/1/0", nil)
		s.saysLate("w2", "r1/1/1", nil)
		s.play("wait 1s\n")
		s.saysLate("w2", "r1/1/1", nil)
		s.play("wait 1s\n")
		told := s.lateTold()
		s.leave()
		_ = s.over(t)
		if len(told) != 3 {
			t.Fatalf("told %v", told)
		}
		for i, want := range []string{
			"checkpoint of step 2 (s3://ckpt/r1/step-00000002/gen-1) cannot be written by rank 1 on w2 " +
				"since 2026-11-26 10:31:05 UTC: store is full",
			"by rank 0 on w1 and 1 more since",
			"checkpoint of step 2 is written, 1m30s after",
		} {
			if !strings.Contains(told[i].GetText(), want) || told[i].GetStep() != 2 {
				t.Errorf("event %d is %v, want %q", i, told[i], want)
			}
		}
		if strings.Contains(told[0].GetText(), "waits") || !strings.Contains(told[1].GetText(), "waits") {
			t.Errorf("told %v", told)
		}
		run = s.run(t)
		if s.lead.explain(run); strings.Contains(run.GetReason(), "store is full") {
			t.Errorf("the run's reason is still %q", run.GetReason())
		}
	})
}

// TestSlowCheckpointThatIsRefused: training waits before it is known why; then the reason is told,
// whichever rank has it.
func TestSlowCheckpointThatIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTheatre(t)
		s.play(twoRanks)
		s.watch(&pb.WatchRequest{Run: "r1"})
		slow := &pb.Unwritten{Step: 2, Uri: "s3://ckpt", SinceUnixMs: 1, Blocking: true}
		s.saysLate("w1", "r1/1/0", slow)
		s.play("wait 1s\n")
		refused := proto.CloneOf(slow)
		refused.Reason = "store unreachable"
		s.saysLate("w2", "r1/1/1", refused)
		s.play("wait 1s\n")
		told := s.lateTold()
		s.leave()
		_ = s.over(t)
		if len(told) != 2 ||
			!strings.Contains(told[0].GetText(), "(s3://ckpt) is still being written by rank 0 on w1;") ||
			!strings.Contains(told[1].GetText(), "by rank 1 on w2 and 1 more since") ||
			!strings.HasSuffix(told[1].GetText(), ": store unreachable; training waits for it") {
			t.Errorf("told %v", told)
		}
	})
}

// TestLateEndsWithItsGeneration: the death of the rank that is refused is not taken for its
// success, and its successors begin anew.
func TestLateEndsWithItsGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTheatre(t)
		s.play(twoRanks)
		s.watch(&pb.WatchRequest{Run: "r1"})
		s.saysLate("w2", "r1/1/1", &pb.Unwritten{Step: 2, Reason: "store is full"})
		s.play("wait 1s\n")
		s.play("say w2 r1/1/1 phase=DEAD reason=killed\nsay w1 r1/1/0 phase=DEAD reason=peer lost\n" +
			"wait 1s\nsay w1 r1/2/0 phase=STEPPING\nsay w2 r1/2/1 phase=STEPPING\n")
		if r := s.run(t); r.GetGeneration() != 2 || r.GetState() != pb.RunState_RUNNING {
			t.Fatalf("run is %s at generation %d", r.GetState(), r.GetGeneration())
		}
		run := s.run(t)
		if s.lead.explain(run); strings.Contains(run.GetReason(), "store is full") {
			t.Errorf("the run's reason is still %q", run.GetReason())
		}
		s.play("wait 1s\n")
		if told := s.lateTold(); len(told) != 1 {
			t.Errorf("told %v", told)
		}
		s.leave()
		_ = s.over(t)
	})
}

// blockManifest puts a folder where a manifest belongs.
func (s *stage) blockManifest(t *testing.T) (path string) {
	path = checkpoint.ManifestURI(checkpoint.Dir(filepath.Join(s.dir, "ckpt"), "r1", 2, 1))
	must(t, os.Mkdir(path, 0o700))
	must(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
	return path
}

// TestManifestRefusedForGood: the leader's own patience ends too, in one failure that says why, not
// in a replay; a run that is asked to stop has less of it.
func TestManifestRefusedForGood(t *testing.T) {
	for name, x := range map[string]struct {
		stop  string
		limit time.Duration
	}{"going on": {"", manifestPatience}, "stopping": {"stop r1\n", stopPatience}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStage(t)
				s.play(twoRanks + "shard w1 r1/1/0 step=2\n" + x.stop)
				s.blockManifest(t)
				s.play("shard w2 r1/1/1 step=2\nwait " + (x.limit - manifestRetry).String() + "\n")
				if r := s.run(t); r.GetState() != pb.RunState_RUNNING {
					t.Fatalf("run is %s: %s", r.GetState(), r.GetReason())
				}
				s.play("wait " + (manifestRetry + manifestPause).String() + "\n")
				r := s.run(t)
				if r.GetState() != pb.RunState_FAILED || r.GetGeneration() != 1 ||
					!strings.Contains(r.GetReason(), checkpoint.ErrWrite.Error()) ||
					!strings.Contains(r.GetReason(), "step 2 was refused for") {
					t.Errorf("run is %s: %s", r.GetState(), r.GetReason())
				}
			})
		})
	}
}

// TestManifestIsOvertaken: a later checkpoint that is committed ends the tries to write an earlier
// manifest; its patience does not end the run.
func TestManifestIsOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStage(t)
		s.play(twoRanks + "shard w1 r1/1/0 step=2\n")
		s.blockManifest(t)
		s.play("shard w2 r1/1/1 step=2\nwait 5s\n" +
			"shard w1 r1/1/0 step=4\nshard w2 r1/1/1 step=4\nwait 4m\n")
		if got := state.Newest(s.run(t)).GetStep(); got != 4 {
			t.Fatalf("the newest checkpoint is of step %d: %s", got, s.run(t).GetReason())
		}
		if e := s.lead.lateEvent("r1"); e.GetKind() != pb.EventKind_CHECKPOINT_BACK {
			t.Errorf("the newest word is %v", e)
		}
	})
}

// TestManifestIsRetried: a store that fails costs time, not the checkpoint, and is told.
func TestManifestIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTheatre(t)
		s.play(twoRanks + "shard w1 r1/1/0 step=2\n")
		s.watch(&pb.WatchRequest{Run: "r1"})
		path := s.blockManifest(t)
		s.play("shard w2 r1/1/1 step=2\nwait 5s\n")
		if n := len(s.run(t).GetCheckpoints()); n != 0 {
			t.Fatalf("%d checkpoints", n)
		}
		must(t, os.RemoveAll(path))
		s.play("wait " + (manifestRetry + 100*time.Millisecond).String() + "\n")
		if got := state.Newest(s.run(t)).GetStep(); got != 2 {
			t.Errorf("the newest checkpoint is of step %d: %s", got, s.run(t).GetReason())
		}
		s.play("wait 1s\n")
		told := s.lateTold()
		s.leave()
		_ = s.over(t)
		if len(told) != 2 || told[1].GetKind() != pb.EventKind_CHECKPOINT_BACK ||
			!strings.Contains(told[0].GetText(), "coordinator c1") {
			t.Errorf("told %v", told)
		}
	})
}
