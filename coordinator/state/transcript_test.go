package state

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestTranscripts plays testdata/*.txt. A line is a command; the indented lines after it are what
// the machine answers: code, events, and the run as it is then. '#' starts a comment.
func TestTranscripts(t *testing.T) {
	testkit.Transcripts(t, "testdata/*.txt", play)
}

func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	m := New()
	index := uint64(0)
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // an expectation; written anew below
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "snapshot" {
			m = throughSnapshot(t, m)
			fmt.Fprintf(&out, "  state %s\n", digest(t, m))
			continue
		}
		cmd := parseCommand(t, line)
		index++
		cmd.UnixMs = int64(index) * 1000
		show(&out, m, m.Apply(index, cmd))
		if err := Check(m.State()); err != nil {
			t.Errorf("after %q: %v", line, err)
		}
	}
	return out.String()
}

func show(out *strings.Builder, m *Machine, res *pb.ApplyResult) {
	fmt.Fprintf(out, "  %s", res.Code)
	if res.Replayed {
		fmt.Fprint(out, " replayed")
	}
	if res.Reason != "" {
		fmt.Fprintf(out, ": %s", res.Reason)
	}
	fmt.Fprintln(out)
	for _, e := range res.Events {
		fmt.Fprintf(out, "  event %d at %d ms: %s gen=%d step=%d", e.Index, e.UnixMs, e.Kind,
			e.Generation, e.Step)
		if e.Supersedes > 0 {
			fmt.Fprintf(out, " supersedes=%d", e.Supersedes)
		}
		fmt.Fprintf(out, ": %s\n", e.Text)
	}
	r, ok := m.Run(res.Run)
	if !ok {
		if d := m.State().Drained; len(d) > 0 {
			fmt.Fprintf(out, "  drained: %s\n", strings.Join(d, " "))
		}
		return
	}
	fmt.Fprintf(out, "  %s %s gen=%d", r.Id, r.State, r.Generation)
	for _, p := range r.Ranks {
		fmt.Fprintf(out, " %d=%s/%d", p.Rank, p.Worker, p.Device)
	}
	for _, k := range r.Checkpoints {
		fmt.Fprintf(out, " step-%d@%d", k.Step, k.Generation)
		if k.Corrupt {
			fmt.Fprint(out, "!")
		}
	}
	if r.Failures > 0 {
		fmt.Fprintf(out, " failures=%d", r.Failures)
	}
	if r.StopRequested {
		fmt.Fprint(out, " stopping")
	}
	if r.ResumedStep > 0 {
		fmt.Fprintf(out, " resumed=%d", r.ResumedStep)
	}
	if r.Resolved.Digest != "" {
		fmt.Fprintf(out, " runs=%s", r.Resolved.Digest)
	}
	if r.Next != nil {
		fmt.Fprintf(out, " next=%s from=%d", r.Next.Digest, r.NextStep)
	}
	for _, x := range r.LeftOut {
		fmt.Fprintf(out, " without=%d..%d", x.From, x.To)
	}
	fmt.Fprintf(out, " (%s)\n", r.Reason)
}

// parseCommand reads `verb name key=value ...`; a value runs to the next " key=" so that reasons
// need no quotes.
func parseCommand(t *testing.T, line string) *pb.Command {
	t.Helper()
	a := parseArgs(line)
	cmd := &pb.Command{RequestId: a.text["id"]}
	switch a.verb {
	case "launch":
		cmd.Command = &pb.Command_Launch{Launch: &pb.LaunchRun{
			Run: a.name, Resolved: a.resolved()}}
	case "stop":
		cmd.Command = &pb.Command_Stop{Stop: &pb.StopRun{Run: a.name}}
	case "resume":
		x := &pb.ResumeRun{Run: a.name, Edit: a.text["edit"]}
		if a.num("total") > 0 {
			x.Resolved = a.resolved()
		}
		cmd.Command = &pb.Command_Resume{Resume: x}
	case "worker":
		w := &pb.WorkerInfo{Id: a.name, Devices: uint32(a.num("devices"))}
		cmd.Command = &pb.Command_RegisterWorker{RegisterWorker: &pb.RegisterWorker{Worker: w}}
	case "assign":
		x := &pb.AssignGeneration{Run: a.name, Generation: a.num("gen"), IsaClass: a.text["isa"],
			ResumeStep: a.num("resume"), LastSeenStep: a.num("seen"), Reason: a.text["reason"]}
		for i, p := range strings.Split(a.text["ranks"], ",") {
			w, d, _ := strings.Cut(p, "/")
			dev, _ := strconv.Atoi(d)
			x.Ranks = append(x.Ranks, &pb.RankPlace{Rank: uint32(i), Worker: w, Device: uint32(dev)})
		}
		cmd.Command = &pb.Command_Assign{Assign: x}
	case "running":
		x := &pb.MarkRunning{Run: a.name, Generation: a.num("gen")}
		cmd.Command = &pb.Command_Running{Running: x}
	case "end":
		x := &pb.EndGeneration{Run: a.name, Generation: a.num("gen"), Reason: a.text["reason"],
			Fatal: a.text["fatal"] == "yes", Spike: a.num("spike")}
		cmd.Command = &pb.Command_EndGeneration{EndGeneration: x}
	case "commit":
		k := &pb.CheckpointRef{Step: a.num("step"), Generation: a.num("gen"),
			Uri: "s3://ckpt/" + a.name, Digest: "d" + a.text["digest"]}
		x := &pb.CommitCheckpoint{Run: a.name, Checkpoint: k}
		cmd.Command = &pb.Command_CommitCheckpoint{CommitCheckpoint: x}
	case "retire":
		x := &pb.RetireCheckpoint{Run: a.name, Step: a.num("step"), Generation: a.num("gen")}
		cmd.Command = &pb.Command_RetireCheckpoint{RetireCheckpoint: x}
	case "corrupt":
		x := &pb.MarkCheckpointCorrupt{Run: a.name, Step: a.num("step"),
			Generation: a.num("gen"), Reason: a.text["reason"]}
		cmd.Command = &pb.Command_MarkCorrupt{MarkCorrupt: x}
	case "finish":
		x := &pb.FinishRun{Run: a.name, Generation: a.num("gen"), Reason: a.text["reason"],
			State: pb.RunState(pb.RunState_value[a.text["state"]])}
		cmd.Command = &pb.Command_Finish{Finish: x}
	case "weights":
		x := &pb.SetWeights{Run: a.name, Resolved: a.resolved(), FromStep: a.num("from"),
			Edit: a.text["edit"], LastSeenStep: a.num("seen"), BaseDigest: a.text["base"]}
		cmd.Command = &pb.Command_SetWeights{SetWeights: x}
	case "drain":
		x := &pb.DrainWorker{Worker: a.name, Back: a.text["back"] == "yes"}
		cmd.Command = &pb.Command_Drain{Drain: x}
	case "nothing":
	default:
		t.Fatalf("unknown command %q", line)
	}
	return cmd
}

type args struct {
	verb, name string
	text       map[string]string
}

func parseArgs(line string) args {
	words := strings.Fields(line)
	a := args{verb: words[0], text: map[string]string{}}
	key := ""
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		switch {
		case ok:
			key = k
			a.text[key] = v
		case key == "":
			a.name = w
		default:
			a.text[key] += " " + w
		}
	}
	return a
}

func (a args) num(key string) uint64 {
	n, _ := strconv.ParseUint(a.text[key], 10, 64)
	return n
}

func resolved(total, shards uint64, family string) *pb.ResolvedRun {
	return &pb.ResolvedRun{
		Spec:       &pb.RunSpec{Train: &pb.Train{LogicalShards: uint32(shards)}},
		Model:      &pb.ModelConfig{Family: "llama" + family},
		TotalSteps: total,
	}
}

// resolved is a run of total steps; held=URI@ETAG gives it a held-out set, rewinds=N a policy for
// spikes.
func (a args) resolved() *pb.ResolvedRun {
	r := resolved(a.num("total"), a.num("shards"), a.text["family"])
	r.Digest = a.text["digest"]
	if a.text["numerics"] == "fast" {
		r.Spec.Train.Numerics = pb.Numerics_FAST
	}
	if a.num("rewinds") > 0 {
		r.Spec.Train.Spike = &pb.Spike{MaxRewinds: uint32(a.num("rewinds")),
			Back: uint32(a.num("back")), Ahead: uint32(a.num("ahead"))}
	}
	if uri, etag, ok := strings.Cut(a.text["held"], "@"); ok {
		r.Spec.Eval = &pb.Eval{Sets: []*pb.EvalSet{{Name: "en-held", Uri: uri}}}
		r.EvalSets = []*pb.SourceManifest{{Name: "en-held",
			Files: []*pb.PinnedFile{{Uri: uri, Size: 1, Etag: etag}}}}
	}
	return r
}

// throughSnapshot is what a member goes through that falls behind or starts again.
func throughSnapshot(t testing.TB, m *Machine) *Machine {
	t.Helper()
	b, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n := New()
	if err := n.Restore(b); err != nil {
		t.Fatal(err)
	}
	again, err := n.Snapshot()
	if err != nil || !bytes.Equal(b, again) {
		t.Fatalf("a restored state encodes to other bytes (%v)", err)
	}
	return n
}

func digest(t testing.TB, m *Machine) string {
	t.Helper()
	b, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16]
}
