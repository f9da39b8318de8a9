package plan

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestTranscripts plays testdata/*.txt: `worker` and `run` lines build a cluster, `next`, `move`
// and `retire RUN` ask, and the indented lines below are the decisions. `clear` starts over.
func TestTranscripts(t *testing.T) {
	testkit.Transcripts(t, "testdata/*.txt", play)
}

func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	st, views := &pb.ClusterState{}, []WorkerView(nil)
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "clear":
			st, views = &pb.ClusterState{}, nil
		case "worker":
			views = append(views, parseWorker(t, words[1:]))
		case "run":
			st.Runs = append(st.Runs, parseRun(t, words[1:]))
		case "next":
			for _, d := range Next(st, views) {
				showDecision(&out, d)
			}
		case "move":
			moves := Moves(st, views)
			for _, m := range moves {
				fmt.Fprintf(&out, "  %s gen=%d: %s\n", m.Run, m.Generation, m.Reason)
			}
			if len(moves) == 0 {
				fmt.Fprintln(&out, "  nobody")
			}
		case "retire":
			for _, r := range st.Runs {
				if r.Id == words[1] {
					fmt.Fprintf(&out, "  retire %s\n", showRefs(Retire(r)))
				}
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return out.String()
}

func showDecision(out *strings.Builder, d Decision) {
	a := d.Assign(0)
	if a == nil {
		fmt.Fprintf(out, "  %s waits: %s\n", d.Run, d.Reason)
		return
	}
	fmt.Fprintf(out, "  %s gen=%d resume=%d %s", a.Run, a.Generation, a.ResumeStep, a.IsaClass)
	for _, p := range a.Ranks {
		fmt.Fprintf(out, " %d=%s/%d", p.Rank, p.Worker, p.Device)
	}
	fmt.Fprintf(out, ": %s\n", a.Reason)
}

func showRefs(refs []*pb.CheckpointRef) string {
	var s []string
	for _, k := range refs {
		s = append(s, strconv.FormatUint(k.Step, 10))
	}
	return "[" + strings.Join(s, " ") + "]"
}

func parseWorker(t *testing.T, words []string) WorkerView {
	w := WorkerView{ID: words[0], Live: true, Devices: 1, ISAClasses: []string{"avx2", "generic"}}
	for _, word := range words[1:] {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "devices":
			w.Devices = atoi(t, v)
		case "busy":
			w.Busy = atoi(t, v)
		case "isa":
			w.ISAClasses = strings.Split(v, ",")
		case "used":
			w.Used = map[int]string{}
			for d := range strings.SplitSeq(v, ",") {
				device, run, _ := strings.Cut(d, ":")
				w.Used[atoi(t, device)] = run
			}
		case "lost":
			w.Live = false
		case "drained":
			w.Drained = true
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return w
}

func parseRun(t *testing.T, words []string) *pb.Run {
	r := &pb.Run{Id: words[0], State: pb.RunState_PENDING, Resolved: &pb.ResolvedRun{
		Spec: &pb.RunSpec{Train: &pb.Train{}, Checkpoint: &pb.Checkpoint{},
			Resources: &pb.Resources{Workers: &pb.Range{Min: 1}}}}}
	spec := r.Resolved.Spec
	for _, word := range words[1:] {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "workers":
			lo, hi, _ := strings.Cut(v, "..")
			spec.Resources.Workers = &pb.Range{Min: uint32(atoi(t, lo)), Max: uint32(atoi(t, hi))}
		case "shards":
			spec.Train.LogicalShards = uint32(atoi(t, v))
		case "priority":
			spec.Resources.Priority = int32(atoi(t, v))
		case "keep":
			spec.Checkpoint.Keep = uint32(atoi(t, v))
		case "pinned":
			r.IsaClass = v
		case "gen":
			r.Generation = uint64(atoi(t, v))
		case "steps":
			r.Resolved.TotalSteps = uint64(atoi(t, v))
		case "every":
			spec.Checkpoint.Every = uint64(atoi(t, v))
		case "stops":
			r.StopRequested = true
		case "edited":
			r.Next = r.Resolved
		case "state":
			r.State = pb.RunState(pb.RunState_value[v])
		case "ckpt":
			for s := range strings.SplitSeq(v, ",") {
				s, corrupt := strings.CutSuffix(s, "!")
				step, gen, _ := strings.Cut(s, "@")
				k := &pb.CheckpointRef{Step: uint64(atoi(t, step)), Corrupt: corrupt}
				if gen != "" {
					k.Generation = uint64(atoi(t, gen))
				}
				r.Checkpoints = append(r.Checkpoints, k)
			}
		case "ranks":
			for s := range strings.SplitSeq(v, ",") {
				w, d, _ := strings.Cut(s, "/")
				r.Ranks = append(r.Ranks, &pb.RankPlace{Worker: w, Device: uint32(atoi(t, d))})
			}
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return r
}

func atoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
