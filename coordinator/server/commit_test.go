package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

const twoRanks = `
worker w1
worker w2
launch r1 steps=6 workers=2..2 keep=1
say w1 r1/1/0 phase=STEPPING
say w2 r1/1/1 phase=STEPPING
`

func (s *stage) run(t *testing.T) *pb.Run {
	t.Helper()
	run, ok := s.group.machine.Run("r1")
	if !ok {
		t.Fatal("run r1 is gone")
	}
	return run
}

// TestI4_CommittedCheckpointIsComplete reads back what a committed reference names, and sees that
// retention deletes what the newer checkpoint replaces, and no more.
func TestI4_CommittedCheckpointIsComplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStage(t)
		s.play(twoRanks + "shard w1 r1/1/0 step=2\nshard w2 r1/1/1 step=2\n")
		first := state.Newest(s.run(t))
		s.play("shard w1 r1/1/0 step=4\nshard w2 r1/1/1 step=4\n")
		op, err := router.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		ref := state.Newest(s.run(t))
		r, err := checkpoint.Open(t.Context(), op, ref.GetUri(), ref.GetDigest())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		m := r.Manifest()
		if m.Step != 4 || m.Generation != 1 || m.World != 2 || m.Run != "r1" || m.RunDigest != "digest" {
			t.Errorf("the manifest says %+v", m)
		}
		if curve, err := r.Curve(t.Context()); err != nil || len(curve) != 4 {
			t.Errorf("the curve has %d steps, %v", len(curve), err)
		}
		if _, err := checkpoint.Open(t.Context(), op, first.GetUri(), ""); err == nil {
			t.Error("a retired checkpoint is still there")
		}
	})
}

// TestRetiredWhereItWas: a checkpoint is deleted where it lies, though the run keeps new ones in
// another place since an edit.
func TestRetiredWhereItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStage(t)
		s.play(twoRanks + "shard w1 r1/1/0 step=2\nshard w2 r1/1/1 step=2\nstop r1\n" +
			"say w1 r1/1/0 phase=DONE step=2\nsay w2 r1/1/1 phase=DONE step=2\n")
		old := state.Newest(s.run(t))
		moved := proto.CloneOf(s.run(t).GetResolved())
		moved.Spec.Checkpoint.To = filepath.Join(s.dir, "moved")
		s.ask(&pb.Command{Command: &pb.Command_Resume{Resume: &pb.ResumeRun{Run: "r1",
			Resolved: moved}}})
		synctest.Wait()
		s.play("say w1 r1/2/0 phase=STEPPING\nsay w2 r1/2/1 phase=STEPPING\n" +
			"shard w1 r1/2/0 step=4\nshard w2 r1/2/1 step=4\n")
		next := state.Newest(s.run(t))
		if next.GetStep() != 4 || len(s.run(t).GetCheckpoints()) != 1 {
			t.Fatalf("checkpoints %v", s.run(t).GetCheckpoints())
		}
		op, err := router.New(nil)
		must(t, err)
		if _, err := checkpoint.Open(t.Context(), op, old.GetUri(), ""); err == nil {
			t.Errorf("the retired checkpoint is still at %s", old.GetUri())
		}
		_, err = checkpoint.Open(t.Context(), op, next.GetUri(), next.GetDigest())
		must(t, err)
	})
}

// TestI1_ManifestOfAnother: a different manifest under the same generation's name means that two
// leaders' views differ; it is never overwritten, and the generation ends.
func TestI1_ManifestOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStage(t)
		s.play(twoRanks + "shard w1 r1/1/0 step=2\n")
		path := checkpoint.ManifestURI(checkpoint.Dir(filepath.Join(s.dir, "ckpt"), "r1", 2, 1))
		must(t, os.WriteFile(path, []byte("{}"), 0o600))
		got := s.play("shard w2 r1/1/1 step=2\n")
		if !strings.Contains(got, "EndGeneration: OK") {
			t.Errorf("want the generation ended, got %s", got)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "{}" {
			t.Errorf("the other manifest was touched: %s, %v", b, err)
		}
	})
}

// TestI1_OwnManifestOfAnEarlierTry: the first try had an unknown outcome; the second finds its own
// manifest and commits it.
func TestI1_OwnManifestOfAnEarlierTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStage(t)
		s.play(twoRanks + "proposals fail\nshard w1 r1/1/0 step=2\nshard w2 r1/1/1 step=2\n" +
			"proposals work\nleader c1\nworker w1\nworker w2\n" +
			"shard w1 r1/1/0 step=2\nshard w2 r1/1/1 step=2\n")
		if got := state.Newest(s.run(t)).GetStep(); got != 2 {
			t.Errorf("the newest checkpoint is of step %d", got)
		}
	})
}

// TestI4_ShardsThatDoNotFit: a hole in the reports is found before anything names them.
func TestI4_ShardsThatDoNotFit(t *testing.T) {
	for name, shard := range map[string][]byte{"hole": nil, "no JSON": []byte("{")} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newStage(t)
				s.play(twoRanks + "shard w1 r1/1/0 step=2\n")
				m := s.shard("r1/1/0", 2) // rank 0's part again instead of rank 1's
				m.Rank = 1
				if shard != nil {
					m.Shard = shard
				}
				s.say("w2", &pb.WorkerMessage{Message: &pb.WorkerMessage_Shard{Shard: m}})
				synctest.Wait()
				if r := s.run(t); r.GetState() != pb.RunState_PENDING ||
					!strings.Contains(r.GetReason(), "shard reports do not fit together") {
					t.Errorf("run is %s: %s", r.GetState(), r.GetReason())
				}
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
