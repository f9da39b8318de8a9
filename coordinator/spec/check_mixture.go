package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// maxMixPhases bounds the schedule and the edits of a mixture, each.
const maxMixPhases = mix.MaxSegments / 4

// checkMixture checks the schedule and the edits of the weights.
func (p *parser) checkMixture(s *pb.RunSpec) {
	d := s.Data
	for path, n := range map[string]int{"data.schedule": len(d.Schedule), "data.edits": len(d.Edits)} {
		if n > maxMixPhases {
			p.failAt(path, "merge some", "%d entries, at most %d are supported", n, maxMixPhases)
			return
		}
	}
	before := uint64(0)
	for i, phase := range d.Schedule {
		at := fmt.Sprintf("data.schedule[%d]", i)
		if p.bad[at] {
			continue
		}
		p.demand(at, "weights: {wiki-zh: 0.3, books-en: 0.7}")
		p.checkWeights(at+".weights", phase.Weights, d)
		p.checkUntil(at, phase)
		last := dataset.LastStep(phase, d.SeqLen, s.Train.GlobalBatch)
		if last == 0 {
			continue // wrong, or the tokens of a step are not known; that was said
		}
		if last <= before {
			p.failAt(at, "put the phases in the order of their ends",
				"ends at step %d, not after the phase before it (step %d)", last, before)
		}
		before = last
	}
	before = 0
	for i, edit := range d.Edits {
		at := fmt.Sprintf("data.edits[%d]", i)
		if p.bad[at] {
			continue
		}
		p.demand(at, "from_step: 1000", "weights: {wiki-zh: 0.3, books-en: 0.7}")
		p.positive(at+".from_step", float64(edit.FromStep))
		p.checkWeights(at+".weights", edit.Weights, d)
		if p.ok(at+".from_step") && edit.FromStep < before {
			p.failAt(at+".from_step", "put the edits in the order of their steps",
				"step %d comes before that of the edit before it (step %d)", edit.FromStep, before)
		}
		before = max(before, edit.FromStep)
	}
}

// checkUntil demands one end of a phase.
func (p *parser) checkUntil(at string, phase *pb.MixPhase) {
	step, tokens := at+".until_step", at+".until_tokens"
	switch {
	case p.nodes[step] != nil && p.nodes[tokens] != nil:
		p.failAt(step, "remove one of the two", "the phase has both until_step and until_tokens")
	case p.nodes[step] == nil && p.nodes[tokens] == nil:
		p.missing(step, "until_step: 1000, or until_tokens: 1B")
	}
	p.positive(step, float64(phase.UntilStep))
	p.positive(tokens, float64(phase.UntilTokens))
	for path, n := range map[string]uint64{step: phase.UntilStep, tokens: phase.UntilTokens} {
		if p.ok(path) && n > maxLength {
			p.failAt(path, "write less", "%d is more than the limit of %d", n, uint64(maxLength))
		}
	}
}

// checkWeights demands a weight for every source, and none for others.
func (p *parser) checkWeights(at string, weights []*pb.NamedWeight, d *pb.Data) {
	if !p.ok(at) || p.bad["data.sources"] {
		return
	}
	given, sum := map[string]bool{}, 0.0
	var names []string
	for _, src := range d.Sources {
		names = append(names, src.Name)
	}
	for _, w := range weights {
		path := join(at, w.Source)
		given[w.Source] = true
		sum += w.Weight
		p.atLeast(path, w.Weight, 0)
		if !slices.Contains(names, w.Source) {
			fix := "write one of " + strings.Join(head(names, 8), ", ")
			if near := closest(w.Source, names); near != "" {
				fix = fmt.Sprintf("did you mean %s?", near)
				given[near] = true // it is not missing, it is misspelled
			}
			p.failAt(path, fix, "no source is named %q", short(w.Source))
		}
	}
	var missing []string
	for _, name := range names {
		if !given[name] && name != "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		p.failAt(at, fmt.Sprintf("add %s: 0 to leave it out", missing[0]),
			"no weight for %s: every source needs one", strings.Join(head(missing, 8), ", "))
	} else if sum == 0 && len(names) > 0 {
		p.failAt(at, "give at least one source a weight above 0", "every weight is 0")
	}
}

// fitEpochs holds max_epochs against what the plan would read of each source that has one. The
// tokens of a source are an estimate where it was not read whole: it gets a margin, and a run that
// still reads too much ends with an error of its own.
func fitEpochs(r *pb.ResolvedRun) []error {
	const margin = 1.05
	var errs []error
	for i, e := range Epochs(r) {
		src := r.GetSpec().GetData().GetSources()[i]
		limit := src.GetMaxEpochs()
		if limit > 0 && e.Known && e.Planned > limit*margin {
			errs = append(errs, fmt.Errorf("data.sources[%d].max_epochs: the plan reads source %q %.2f "+
				"times (%s of about %s tokens), max_epochs is %v; lower its weight, train fewer tokens, "+
				"add text or raise max_epochs", i, src.GetName(), e.Planned, withCommas(e.Tokens),
				withCommas(e.Source), limit))
		}
	}
	return errs
}

// SourceEpochs is how often a run is planned to read a source.
type SourceEpochs struct {
	Share   float64 // of the run's target tokens
	Tokens  uint64  // target tokens planned
	Source  uint64  // tokens of the source, estimated; 0: unknown
	Known   bool
	Planned float64 // epochs, if known
}

// Epochs is the plan of each source over the whole run.
func Epochs(r *pb.ResolvedRun) []SourceEpochs {
	out := make([]SourceEpochs, len(r.GetCorpus().GetSources()))
	tokens := float64(r.GetTotalSteps() * TokensPerStep(r.GetSpec()))
	for i, share := range dataset.PlanOf(r.GetCorpus()).Share(max(1, r.GetTotalSteps())) {
		e := SourceEpochs{Share: share, Tokens: uint64(share*tokens + 0.5),
			Source: r.GetCorpus().GetSources()[i].GetSample().GetSourceTokens()}
		if e.Known = e.Source > 0; e.Known {
			e.Planned = float64(e.Tokens) / float64(e.Source)
		}
		out[i] = e
	}
	return out
}
