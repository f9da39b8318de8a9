package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Weigh turns the weights of a spec (those of the sources, the schedule, the edits) into shares of
// the target tokens, exactly, and puts them into the corpus. It is a pure function: weights in
// bytes or documents are converted by the samples that the corpus holds (Measure).
func Weigh(corpus *pb.Corpus, data *pb.Data, globalBatch uint32) error {
	w, err := newWeigher(corpus, data)
	if err != nil {
		return err
	}
	var base []*pb.NamedWeight
	for _, s := range data.GetSources() {
		base = append(base, &pb.NamedWeight{Source: s.GetName(), Weight: s.GetWeight()})
	}
	shares, err := w.shares(base)
	if err != nil {
		return err
	}
	plan, err := w.schedule(data, mix.Constant(shares), globalBatch)
	if err != nil {
		return err
	}
	for i, edit := range data.GetEdits() {
		shares, err := w.shares(edit.GetWeights())
		if err != nil {
			return fmt.Errorf("data.edits[%d]: %w", i, err)
		}
		if edit.GetFromStep() == 0 {
			return fmt.Errorf("data.edits[%d]: from_step is 0: steps count from 1", i)
		}
		plan = plan.Splice(edit.GetFromStep()-1, mix.Constant(shares))
	}
	if err := plan.Validate(len(corpus.GetSources())); err != nil {
		return err
	}
	if err := w.readAll(plan); err != nil {
		return err
	}
	for i, m := range corpus.GetSources() {
		m.WeightQ32 = shares[i]
	}
	SetPlan(corpus, plan)
	return nil
}

// SetPlan makes a corpus be mixed by a plan.
func SetPlan(corpus *pb.Corpus, plan mix.Plan) {
	corpus.Mixture = nil
	if len(plan) == 1 && slices.Equal(plan[0].From, weightsOf(corpus)) {
		return // weight_q32 says it
	}
	for _, s := range plan {
		corpus.Mixture = append(corpus.Mixture, &pb.MixSegment{UntilStep: s.Until, FromQ32: s.From,
			ToQ32: s.To, RampAfter: s.Start, RampSteps: s.Steps})
	}
}

// PlanOf is what the steps of a run on this corpus are mixed by.
func PlanOf(corpus *pb.Corpus) mix.Plan {
	if len(corpus.GetMixture()) == 0 {
		return mix.Constant(weightsOf(corpus))
	}
	var plan mix.Plan
	for _, s := range corpus.GetMixture() {
		plan = append(plan, mix.Segment{Until: s.GetUntilStep(), From: s.GetFromQ32(),
			To: s.GetToQ32(), Start: s.GetRampAfter(), Steps: s.GetRampSteps()})
	}
	return plan
}

// Realised is the share of the sequences that each source has after so many steps.
func (c *Config) Realised(steps uint64) ([]float64, error) {
	m, err := mix.New(PlanOf(c.Corpus), c.GlobalBatch)
	if err != nil {
		return nil, err
	}
	shares := make([]float64, len(c.Corpus.GetSources()))
	for range steps {
		for _, source := range m.Next() {
			shares[source]++
		}
	}
	for i := range shares {
		shares[i] /= float64(max(steps, 1)) * float64(c.GlobalBatch)
	}
	return shares, nil
}

func weightsOf(corpus *pb.Corpus) []uint64 {
	weights := make([]uint64, len(corpus.GetSources()))
	for i, m := range corpus.GetSources() {
		weights[i] = m.GetWeightQ32()
	}
	return weights
}

// weigher knows the sources and how many target tokens a unit of their weights is.
type weigher struct {
	names []string
	index map[string]int
	rates []*big.Rat // tokens a byte, or a document; nil: weights are in tokens
}

func newWeigher(corpus *pb.Corpus, data *pb.Data) (*weigher, error) {
	if len(data.GetSources()) == 0 {
		return nil, errors.New("data.sources is empty: name at least one source")
	}
	w := &weigher{index: map[string]int{}}
	for i, s := range data.GetSources() {
		if _, seen := w.index[s.GetName()]; seen {
			return nil, fmt.Errorf("two sources are named %q: the name keys the order, make it unique",
				s.GetName())
		}
		w.index[s.GetName()] = i
		w.names = append(w.names, s.GetName())
	}
	unit := data.GetWeightUnit()
	if unit != pb.WeightUnit_BYTES && unit != pb.WeightUnit_DOCUMENTS {
		return w, nil
	}
	for i, m := range corpus.GetSources() {
		n := m.GetSample().GetBytes()
		if unit == pb.WeightUnit_DOCUMENTS {
			n = m.GetSample().GetDocuments()
		}
		tokens := m.GetSample().GetTokens()
		if n == 0 || tokens == 0 || n > math.MaxInt64 || tokens > math.MaxInt64 {
			return nil, fmt.Errorf("source %q: its sample has %d tokens: weights in bytes or documents "+
				"need one; write data.weight_unit: tokens", w.names[i], tokens)
		}
		w.rates = append(w.rates, big.NewRat(int64(tokens), int64(n)))
	}
	return w, nil
}

// schedule puts the phases of a spec before a plan that holds after them. What a phase ramps to is
// what the next one begins with, so they are taken from the last to the first.
func (w *weigher) schedule(data *pb.Data, after mix.Plan, globalBatch uint32) (mix.Plan, error) {
	phases := data.GetSchedule()
	plan := after
	for i := len(phases) - 1; i >= 0; i-- {
		shares, err := w.shares(phases[i].GetWeights())
		if err != nil {
			return nil, fmt.Errorf("data.schedule[%d]: %w", i, err)
		}
		s := mix.Segment{Until: LastStep(phases[i], data.GetSeqLen(), globalBatch), From: shares}
		before := uint64(0)
		if i > 0 {
			before = LastStep(phases[i-1], data.GetSeqLen(), globalBatch)
		}
		if s.Until <= before {
			return nil, fmt.Errorf("data.schedule[%d]: ends at step %d, not after step %d, where the "+
				"phase before it ends: put the phases in the order of their ends", i, s.Until, before)
		}
		if phases[i].GetRamp() {
			s.To, s.Start, s.Steps = plan[0].From, before, s.Until-before
		}
		plan = append(mix.Plan{s}, plan...)
	}
	return plan, nil
}

// LastStep is the last step of a phase: tokens are rounded up to whole steps.
func LastStep(phase *pb.MixPhase, seqLen, globalBatch uint32) uint64 {
	per := uint64(seqLen) * uint64(globalBatch)
	if n := phase.GetUntilTokens(); n > 0 && per > 0 {
		return (n-1)/per + 1
	}
	return phase.GetUntilStep()
}

// shares turns the weights of all sources into shares in units of 2^-32 that sum to 2^32: each gets
// the whole units of its exact share, and the rest go one each to those with the largest remainders
// (ties: the first). Weights need not sum to 1.
func (w *weigher) shares(named []*pb.NamedWeight) ([]uint64, error) {
	weights, err := w.exact(named)
	if err != nil {
		return nil, err
	}
	sum := new(big.Rat)
	for _, weight := range weights {
		sum.Add(sum, weight)
	}
	if sum.Sign() == 0 {
		return nil, errors.New("every weight is 0: give at least one source a weight above 0")
	}
	shares := make([]uint64, len(weights))
	rests := make([]*big.Rat, len(weights))
	order := make([]int, len(weights))
	left := uint64(mix.One)
	for i, weight := range weights {
		exact := new(big.Rat).Mul(weight, big.NewRat(mix.One, 1))
		exact.Quo(exact, sum)
		whole := new(big.Int).Quo(exact.Num(), exact.Denom())
		rests[i] = exact.Sub(exact, new(big.Rat).SetInt(whole))
		shares[i] = whole.Uint64()
		left -= shares[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rests[b].Cmp(rests[a]) })
	for _, i := range order[:left] {
		shares[i]++
	}
	for i, weight := range weights {
		if shares[i] == 0 && weight.Sign() > 0 {
			return nil, fmt.Errorf("source %q: its weight is less than 2^-32 of all: it would never be "+
				"read; raise it, or write 0 to leave the source out", w.names[i])
		}
	}
	return shares, nil
}

// exact are the weights by source, as target tokens.
func (w *weigher) exact(named []*pb.NamedWeight) ([]*big.Rat, error) {
	weights := make([]*big.Rat, len(w.names))
	for _, x := range named {
		i, known := w.index[x.GetSource()]
		switch v := x.GetWeight(); {
		case !known:
			return nil, fmt.Errorf("there is no source %q", x.GetSource())
		case weights[i] != nil:
			return nil, fmt.Errorf("source %q has two weights", x.GetSource())
		case !(v >= 0) || math.IsInf(v, 0):
			return nil, fmt.Errorf("source %q: weight is %g, want a number from 0 up", x.GetSource(), v)
		default:
			weights[i] = new(big.Rat).SetFloat64(v)
			if w.rates != nil {
				weights[i].Mul(weights[i], w.rates[i])
			}
		}
	}
	for i, weight := range weights {
		if weight == nil {
			return nil, fmt.Errorf("source %q has no weight: name every source, with 0 to leave it out",
				w.names[i])
		}
	}
	return weights, nil
}

// readAll refuses a source without weight at any time.
func (w *weigher) readAll(plan mix.Plan) error {
	for i, name := range w.names {
		used := slices.ContainsFunc(plan, func(s mix.Segment) bool {
			return s.From[i] > 0 || s.To != nil && s.To[i] > 0
		})
		if !used {
			return fmt.Errorf("source %q: its weight is 0 throughout: it would never be read; raise it "+
				"or remove the source", name)
		}
	}
	return nil
}
