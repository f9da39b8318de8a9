package spec

import (
	"fmt"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
)

// Bounds of what a rank keeps: losses of the spike policy, sequences of a held-out set, phases.
const (
	maxSpikeWindow  = 1024
	maxHeldOut      = 1 << 16
	maxAllHeldOut   = 1 << 18 // of all sets; one exchange takes the results of all (28 bytes each)
	maxPhases       = 64
	maxEvalSets     = 64
	maxPhaseEntries = 256
)

// checkPhases checks the phases but for what only the model's tensors can tell (fitPhases).
func (p *parser) checkPhases(s *pb.RunSpec) {
	t := s.Train
	if n := len(t.Phases); n > maxPhases {
		p.failAt("train.phases", "merge some", "%d phases, at most %d are supported", n, maxPhases)
		return
	}
	for i, phase := range t.Phases {
		at := fmt.Sprintf("train.phases[%d]", i)
		if p.bad[at] {
			continue
		}
		p.demand(at, "until: 10%", "train: [embeddings, head]")
		if u := phase.Until; p.ok(at+".until") && u.GetSteps()+u.GetTokens() == 0 && u.GetShare() == 0 {
			p.failAt(at+".until", "write the end of the phase, such as 10%", "the phase has no step")
		}
		p.checkParts(at+".train", phase.Train)
		p.positive(at+".lr", phase.Lr)
		if p.ok(at+".lr") && phase.Lr > 1 {
			p.failAt(at+".lr", "write a rate such as 1e-4", "%v is more than 1", phase.Lr)
		}
		if lr := t.Schedule; p.ok(at+".lr") && !p.bad["train.schedule.min_lr"] && phase.Lr > 0 &&
			lr.MinLr > phase.Lr {
			p.failAt(at+".lr", "raise it, or lower train.schedule.min_lr",
				"%v is less than the min_lr of %v", phase.Lr, lr.MinLr)
		}
	}
	run := optim.Length{Steps: t.Steps, TokensPerStep: TokensPerStep(s)}
	if i, why := ascending(t.Phases, run); why != "" {
		at := fmt.Sprintf("train.phases[%d].until", i)
		if p.ok(at) {
			p.failAt(at, "put the phases in the order of their ends", "%s", why)
		}
	}
}

func (p *parser) checkParts(at string, parts []string) {
	if p.ok(at) && (len(parts) == 0 || len(parts) > maxPhaseEntries) {
		p.failAt(at, "write all to train everything", "%d parts, wanted 1 to %d", len(parts),
			maxPhaseEntries)
	}
	words := optim.PartNames()
	for k, part := range parts {
		known := optim.IsPattern(part)
		for _, w := range words {
			known = known || part == w
		}
		if path := fmt.Sprintf("%s[%d]", at, k); !known && !p.bad[path] {
			fix := "write one of " + strings.Join(words, ", ") + ", or a pattern of tensor names " +
				"such as model.layers.0.*"
			if near := closest(part, words); near != "" {
				fix = fmt.Sprintf("did you mean %s?", near)
			}
			p.failAt(path, fix, "%q is no part of a model", short(part))
		}
	}
}

// ascending says which phase does not end after the one before it, as far as that can be known:
// without the steps of the run, shares compare with shares only.
func ascending(phases []*pb.Phase, run optim.Length) (int, string) {
	for i := 1; i < len(phases); i++ {
		a, b := phases[i-1].GetUntil(), phases[i].GetUntil()
		if run.Steps == 0 && (a.GetShare() > 0) != (b.GetShare() > 0) {
			continue
		}
		if run.TokensPerStep == 0 && (a.GetTokens() > 0) != (b.GetTokens() > 0) {
			continue
		}
		if run.Steps == 0 && a.GetShare() > 0 {
			if a.GetShare() >= b.GetShare() {
				return i, fmt.Sprintf("ends at %s, not after the phase before it (%s)",
					formatPercent(b.GetShare()), formatPercent(a.GetShare()))
			}
			continue
		}
		if run.Of(a) >= run.Of(b) {
			return i, fmt.Sprintf("ends at step %d, not after the phase before it (step %d)",
				run.Of(b), run.Of(a))
		}
	}
	return 0, ""
}

// fitPhases checks the phases against the run's length and the model's tensors.
func fitPhases(r *pb.ResolvedRun) []error {
	var errs []error
	phases := r.GetSpec().GetTrain().GetPhases()
	if i, why := ascending(phases, optim.LengthOf(r)); why != "" {
		errs = append(errs, fmt.Errorf("train.phases[%d].until: %s; put the phases in the order of "+
			"their ends", i, why))
	}
	for i, phase := range phases {
		for k, part := range phase.GetTrain() {
			if countSelected(r.GetModel(), part) > 0 {
				continue
			}
			fix := "look the names up in the model's safetensors"
			if part == "head" {
				fix = "its head is tied to the embeddings: write embeddings"
			}
			errs = append(errs, fmt.Errorf("train.phases[%d].train[%d]: %q takes in no tensor of the "+
				"model; %s", i, k, part, fix))
		}
	}
	return errs
}

// countSelected is the number of parameters that a part of a phase takes in.
func countSelected(m *pb.ModelConfig, parts ...string) uint64 {
	var n uint64
	phase := &pb.Phase{Train: parts}
	for _, u := range model.Units(m) {
		for _, q := range u.Params {
			if optim.Trains(phase, q.Name) {
				n += uint64(q.Len())
			}
		}
	}
	return n
}

func (p *parser) checkSpike(s *pb.RunSpec) {
	const at = "train.spike"
	k := s.Train.Spike
	if p.ok(at+".non_finite") && k.NonFinite == pb.Spike_IGNORE {
		p.failAt(at+".non_finite", "write stop, skip or rewind",
			"a loss that is not a number is never applied")
	}
	p.positive(at+".zscore", k.Zscore)
	p.positive(at+".max_skips", float64(k.MaxSkips))
	if p.ok(at+".window") && (k.Window < 2 || k.Window > maxSpikeWindow) {
		p.failAt(at+".window", "write a number of steps such as 128", "%d is not within 2..%d",
			k.Window, maxSpikeWindow)
	}
	p.positive(at+".max_rewinds", float64(k.MaxRewinds))
	// Of the checkpoints that are kept the oldest must be older than what is left out: the newest may
	// be of the step before the spike.
	every, back := s.Checkpoint.Every, uint64(k.Back)
	if every == 0 || s.Checkpoint.Keep == 0 {
		return // which is refused where it stands
	}
	want := 1 + back/every + min(back%every, 1)
	rewinds := k.NonFinite == pb.Spike_REWIND || k.Loss == pb.Spike_REWIND
	if p.ok(at+".back") && p.ok("checkpoint.every") && p.ok("checkpoint.keep") && rewinds &&
		uint64(s.Checkpoint.Keep) < want {
		p.failAt(at+".back", fmt.Sprintf("write checkpoint.keep: %d, or a lower back", want),
			"to go back %d steps, %d checkpoints %d steps apart are too few", back, s.Checkpoint.Keep,
			every)
	}
}

func (p *parser) checkEval(s *pb.RunSpec) {
	e := s.Eval
	if e == nil {
		return
	}
	p.positive("eval.every", float64(e.Every))
	if n := len(e.Sets); !p.bad["eval.sets"] && (n == 0 || n > maxEvalSets) {
		p.failAt("eval.sets", "add sets: [{name: en-held, uri: ..., lang: en}]",
			"%d held-out sets, wanted 1 to %d", n, maxEvalSets)
	}
	names, all := map[string]string{}, uint64(0)
	for i, set := range e.Sets {
		all += uint64(min(set.MaxSequences, maxHeldOut))
		at := fmt.Sprintf("eval.sets[%d]", i)
		if p.bad[at] {
			continue
		}
		p.demand(at, "name: en-held", "uri: s3://corpora/held/en.jsonl", "lang: en")
		p.checkLabels(at, set.Name, set.Lang)
		p.checkTextField(at, set.TextField)
		p.checkReading(at, set)
		if n := set.MaxSequences; p.ok(at+".max_sequences") && (n == 0 || n > maxHeldOut) {
			p.failAt(at+".max_sequences", "write a number such as 256", "%d is not within 1..%d", n,
				maxHeldOut)
		}
		if first := names[set.Name]; first != "" {
			p.failAt(at+".name", "give each set its own name", "%s is named %q too", first, set.Name)
		} else if set.Name != "" {
			names[set.Name] = at
		}
	}
	if all > maxAllHeldOut && !p.bad["eval.sets"] {
		p.failAt("eval.sets", "lower max_sequences", "the sets have %d sequences, at most %d are "+
			"supported in all", all, maxAllHeldOut)
	}
	p.checkGuard(e, names)
}

func (p *parser) checkGuard(e *pb.Eval, names map[string]string) {
	const at = "eval.guard"
	g := e.Guard
	if g == nil || p.bad[at] {
		return
	}
	p.demand(at, "set: en-held", "max_regression: 0.05")
	p.positive(at+".max_regression", g.MaxRegression)
	p.positive(at+".patience", float64(g.Patience))
	if p.ok(at+".set") && !p.bad["eval.sets"] && names[g.Set] == "" {
		var known []string
		for _, set := range e.Sets {
			known = append(known, set.Name)
		}
		fix := "write one of " + strings.Join(known, ", ")
		if near := closest(g.Set, known); near != "" {
			fix = fmt.Sprintf("did you mean %s?", near)
		}
		p.failAt(at+".set", fix, "no held-out set is named %q", short(g.Set))
	}
}
