package server

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// stage plays a transcript: a leader's loop, its workers, and a folder for checkpoints.
type stage struct {
	t     *testing.T
	cfg   Config
	group *fakeGroup
	bus   *fakeBus
	lead  *leadership
	dir   string

	mu    sync.Mutex
	out   []string // what happened since it was printed last
	hands map[string]*hand
	shown map[string]string // newest line printed of a run
}

// hand is a worker's end of a session.
type hand struct {
	s      *session
	ended  error
	closed bool
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, cfg: testConfig(), bus: newBus(), dir: t.TempDir(),
		hands: map[string]*hand{}, shown: map[string]string{}}
	s.group = &fakeGroup{machine: state.New(), leader: "c1", saw: s.saw}
	s.lead = beginLeadership(t, s.cfg, s.group, s.bus)
	return s
}

// play answers the script with what happened after every line of it.
func (s *stage) play(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // an expectation; written anew below
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s.do(line)
		synctest.Wait()
		for _, x := range s.happened() {
			fmt.Fprintln(&out, "  "+strings.ReplaceAll(x, s.dir, "DIR"))
		}
	}
	return out.String()
}

func (s *stage) do(line string) {
	words := strings.Fields(line)
	named := map[string]string{}
	for i, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok && k == "reason" {
			named[k] = strings.Join(append([]string{v}, words[i+1:]...), " ")
			break
		} else if ok {
			named[k] = v
		}
	}
	switch who := words[1]; words[0] {
	case "launch":
		s.ask(&pb.Command{Command: &pb.Command_Launch{Launch: &pb.LaunchRun{Run: who,
			Resolved: resolvedRun(s.dir, named)}}})
	case "stop":
		s.ask(&pb.Command{Command: &pb.Command_Stop{Stop: &pb.StopRun{Run: who}}})
	case "resume":
		s.ask(&pb.Command{Command: &pb.Command_Resume{Resume: &pb.ResumeRun{Run: who}}})
	case "weights":
		run, _ := s.group.machine.Run(who)
		edited := proto.CloneOf(state.Newer(run))
		edited.Digest = "edited at " + named["from"]
		s.ask(&pb.Command{Command: &pb.Command_SetWeights{SetWeights: &pb.SetWeights{Run: who,
			Resolved: edited, BaseDigest: state.Newer(run).GetDigest(), FromStep: number(named["from"])}}})
	case "worker":
		s.open(who)
	case "drain", "undrain":
		s.ask(&pb.Command{Command: &pb.Command_Drain{Drain: &pb.DrainWorker{Worker: who,
			Back: words[0] == "undrain"}}})
	case "close":
		s.hands[who].closed = true
		s.lead.post(closed{s.hands[who].s})
	case "say":
		s.say(who, &pb.WorkerMessage{Message: &pb.WorkerMessage_Rank{Rank: report(words[2], named)}})
	case "inventory":
		have := &pb.Inventory{}
		for _, w := range words[2:] {
			rank, phase, _ := strings.Cut(w, "=")
			have.Ranks = append(have.Ranks, report(rank, map[string]string{"phase": phase}))
		}
		s.say(who, &pb.WorkerMessage{Message: &pb.WorkerMessage_Inventory{Inventory: have}})
	case "shard":
		m := &pb.WorkerMessage_Shard{Shard: s.shard(words[2], number(named["step"]))}
		s.say(who, &pb.WorkerMessage{Message: m})
	case "corrupt":
		s.lead.post(diverged{who, number(named["gen"]), named["reason"]})
	case "wait":
		s.wait(who, named["silent"])
	case "leader":
		s.lead.stop()
		s.lead = beginLeadership(s.t, s.cfg, s.group, s.bus)
	case "proposals":
		err := error(nil)
		if who == "fail" {
			err = errDown
		}
		s.group.fail(err)
	default:
		s.t.Fatalf("unknown line %q", line)
	}
}

func (s *stage) ask(cmd *pb.Command) {
	if _, err := s.lead.ask(s.t.Context(), cmd); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) open(worker string) {
	h := &hand{}
	h.s = &session{worker: worker, host: worker, out: make(chan *pb.CoordinatorMessage, sessionQueue),
		info: &pb.WorkerInfo{Id: worker, Devices: 1, IsaClasses: []string{"avx2"}},
		stop: func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			h.ended = err
		}}
	h.s.touch()
	s.hands[worker] = h
	s.lead.post(opened{h.s})
}

// say passes a message on as the session service does.
func (s *stage) say(worker string, m *pb.WorkerMessage) {
	h := s.hands[worker]
	h.s.touch()
	s.lead.post(said{h.s, m})
}

// wait lets time pass while every worker but the silent one beats, as a worker does.
func (s *stage) wait(long, silent string) {
	d, err := time.ParseDuration(long)
	if err != nil {
		s.t.Fatal(err)
	}
	beat := &pb.WorkerMessage{Message: &pb.WorkerMessage_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
	every := min(50*time.Millisecond+d/100, s.cfg.LeaseTTL/4)
	for end := time.Now().Add(d); time.Now().Before(end); pass(min(every, time.Until(end))) {
		for name, h := range s.hands {
			if !h.closed && name != silent {
				s.say(name, beat)
			}
		}
		synctest.Wait()
	}
}

// happened empties the record: commands and what workers were told, and the runs that changed.
func (s *stage) happened() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.out
	s.out = nil
	for _, name := range slices.Sorted(keys(s.hands)) {
		list = append(list, s.hands[name].told(name)...)
	}
	for _, r := range s.group.machine.Runs() {
		if line := runLine(r); line != s.shown[r.GetId()] {
			s.shown[r.GetId()] = line
			list = append(list, line)
		}
	}
	return list
}

func (h *hand) told(name string) []string {
	var list []string
	for {
		select {
		case m := <-h.s.out:
			var ranks []string
			for _, a := range m.GetDesired().GetRanks() {
				ranks = append(ranks, assignmentText(a))
			}
			if m.GetDesired() != nil {
				list = append(list, name+" <- desired ["+strings.Join(ranks, "; ")+"]")
			}
		default:
			if h.ended != nil {
				list = append(list, name+" session ends: "+h.ended.Error())
				h.ended = nil
			}
			return list
		}
	}
}

func assignmentText(a *pb.RankAssignment) string {
	text := fmt.Sprintf("%s/%d/%d of %d", a.GetRun(), a.GetGeneration(), a.GetRank(), a.GetWorld())
	if a.GetRestore() != nil {
		text += fmt.Sprintf(" restore=%d@%d", a.GetRestore().GetStep(), a.GetRestore().GetGeneration())
	}
	if len(a.GetPeers()) > 0 {
		text += " peers=" + strings.Join(a.GetPeers(), ",")
	}
	if a.GetCommittedStep() > 0 {
		text += fmt.Sprintf(" committed=%d", a.GetCommittedStep())
	}
	if a.GetResumedStep() > 0 {
		text += fmt.Sprintf(" resumed=%d", a.GetResumedStep())
	}
	if a.GetStop() {
		text += " stop"
	}
	if a.GetHurry() {
		text += " in a hurry"
	}
	return text
}

func runLine(r *pb.Run) string {
	text := fmt.Sprintf("%s is %s at generation %d", r.GetId(), r.GetState(), r.GetGeneration())
	for _, k := range r.GetCheckpoints() {
		text += fmt.Sprintf(" step-%d@%d", k.GetStep(), k.GetGeneration())
		if k.GetCorrupt() {
			text += "!"
		}
	}
	return text + ": " + r.GetReason()
}

// saw prints every command but registrations.
func (s *stage) saw(cmd *pb.Command, r *pb.ApplyResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cmd.GetRegisterWorker() != nil {
		return
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", cmd.GetCommand()), "*banyanv1.Command_")
	text := fmt.Sprintf("%s: %s", name, r.GetCode())
	if r.GetCode() != pb.ApplyResult_OK {
		text += ": " + r.GetReason()
	}
	s.out = append(s.out, text)
}

// report reads RUN/GENERATION/RANK.
func report(rank string, named map[string]string) *pb.RankReport {
	k := strings.Split(rank, "/")
	return &pb.RankReport{Run: k[0], Generation: number(k[1]), Rank: uint32(number(k[2])),
		Phase: pb.RankPhase(pb.RankPhase_value[named["phase"]]), Step: number(named["step"]),
		Address: named["at"], Reason: named["reason"],
		Failure: pb.FailureClass(pb.FailureClass_value[named["class"]])}
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// resolvedRun is a run of a tiny model; named gives steps, workers (min..max) and keep.
func resolvedRun(dir string, named map[string]string) *pb.ResolvedRun {
	low, high, _ := strings.Cut(named["workers"], "..")
	return &pb.ResolvedRun{TotalSteps: number(named["steps"]), Digest: "digest",
		Tokenizer: &pb.TokenizerPin{Uri: "tokenizer.json"},
		Model: &pb.ModelConfig{Family: "llama", VocabSize: 16, HiddenSize: 8, IntermediateSize: 16,
			Layers: 1, Heads: 2, KvHeads: 1, HeadDim: 4, MaxPositions: 8, TiedEmbeddings: true},
		Spec: &pb.RunSpec{Name: "tiny", Train: &pb.Train{LogicalShards: 4},
			Resources: &pb.Resources{Workers: &pb.Range{Min: uint32(number(low)),
				Max: uint32(number(high))}},
			Checkpoint: &pb.Checkpoint{To: filepath.Join(dir, "ckpt"), Every: 2,
				Keep: uint32(number(named["keep"]))}}}
}
