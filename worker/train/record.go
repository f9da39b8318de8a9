package train

import (
	"math"
	"sort"
	"time"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// progress is what a record needs from all the steps before it. Every rank keeps it.
type progress struct {
	Tokens     uint64 `json:"tokens"`
	DataDigest string `json:"data_digest"`
	// Applied and Skipped count steps by what became of their update. A checkpoint of an earlier
	// version has neither: every update was applied.
	Applied uint64            `json:"applied,omitempty"`
	Skipped uint64            `json:"skipped,omitempty"`
	Missed  map[string]uint64 `json:"missed,omitempty"` // applied updates without a parameter
	Spike   spikeState        `json:"spike"`
	// Sequences is what each source has given so far, in spec order.
	Sequences []uint64 `json:"sequences,omitempty"`

	Baselines []baseline `json:"baselines,omitempty"` // of the held-out sets, in spec order
	Guard     guardState `json:"guard"`
}

// record makes the step record from what the ranks agreed on, and advances the progress.
func (t *trainer) record(step uint64, out *outcome) *pb.StepRecord {
	digests := make([][32]byte, len(out.slots))
	for i, s := range out.slots {
		digests[i] = s.Digest
	}
	t.progress.DataDigest = dataset.ChainDigest(t.progress.DataDigest, digests)
	t.progress.Tokens += out.targets
	var all group
	sources := t.resolved.GetCorpus().GetSources()
	bySource := make([]group, len(sources))
	if len(t.progress.Sequences) != len(sources) {
		t.progress.Sequences = make([]uint64, len(sources))
	}
	byLang := map[string]*group{}
	for _, s := range out.slots {
		all.add(s)
		bySource[s.Source].add(s)
		t.progress.Sequences[s.Source]++
		lang := sources[s.Source].GetLang()
		if byLang[lang] == nil {
			byLang[lang] = &group{}
		}
		byLang[lang].add(s)
	}
	r := &pb.StepRecord{
		Step: step, Generation: t.assignment.GetGeneration(),
		Loss: all.loss / float64(all.targets), GradNorm: out.gradNorm, Lr: out.lr,
		Tokens: t.progress.Tokens, DataDigest: t.progress.DataDigest, Skipped: out.skipped,
		Eval: out.eval, EvalBase: out.evalBase, Guard: out.guard, Padding: out.padding,
	}
	if t.layout.fast {
		r.Numerics = "fast"
	}
	langs := make([]string, 0, len(byLang))
	for lang := range byLang {
		langs = append(langs, lang)
	}
	sort.Strings(langs)
	for _, lang := range langs {
		r.LossByLang = byLang[lang].appendTo(r.LossByLang, lang)
	}
	for i := range bySource {
		r.LossBySource = bySource[i].appendTo(r.LossBySource, sources[i].GetName())
		n := t.progress.Sequences[i]
		r.Mixture = append(r.Mixture, &pb.SourceShare{Name: sources[i].GetName(), Sequences: n,
			Share: float64(n) / float64(step*uint64(len(out.slots))), Owed: out.owed[i]})
	}
	r.Timings = &pb.Timings{
		UnixMs: time.Now().UnixMilli(), StepS: (out.took + out.dataWait).Seconds(),
		DataS: out.dataWait.Seconds(), CommS: out.waited.Seconds(),
		TokensPerS: float64(out.targets) / (out.took + out.dataWait).Seconds(),
		World:      uint32(t.layout.world),
	}
	return r
}

// group sums losses in slot order.
type group struct {
	loss           float64
	targets, bytes uint64
}

func (g *group) add(s slotStats) {
	g.loss += s.Loss
	g.targets += s.Targets
	g.bytes += s.Bytes
}

func (g *group) appendTo(list []*pb.GroupLoss, name string) []*pb.GroupLoss {
	if g.targets == 0 {
		return list
	}
	x := &pb.GroupLoss{Name: name, Loss: g.loss / float64(g.targets), Targets: g.targets}
	if g.bytes > 0 {
		x.BitsPerByte = g.loss / math.Ln2 / float64(g.bytes)
	}
	return append(list, x)
}
