package mix

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// MaxSegments bounds a Plan.
const MaxSegments = 1 << 12

// maxStep bounds every step that a Plan names: sums of two stay far inside a uint64.
const maxStep = 1 << 60

// Plan says what each step's weights are: segment after segment, the last one without end. It is a
// pure function of the step.
type Plan []Segment

// Segment holds for the steps after the segment before it, up to its own last one. Weights are
// shares in units of 2^-32, one a source, that sum to One; 0 leaves a source out.
type Segment struct {
	Until uint64   // last step; 0: the segment has no end, as the last one must
	From  []uint64 // the weights, or those that a ramp begins with
	// To is what a ramp ends with; nil: the weights are constant. It covers the steps
	// Start+1..Start+Steps, of which an edit may have cut some off: the rest keeps its slope.
	To           []uint64
	Start, Steps uint64
}

// Constant is the plan of weights that never change.
func Constant(weights []uint64) Plan { return Plan{{From: weights}} }

// Validate checks a plan for so many sources.
func (p Plan) Validate(sources int) error {
	if sources < 1 || sources > MaxSources {
		return fmt.Errorf("%d sources: want 1..%d", sources, MaxSources)
	}
	if len(p) < 1 || len(p) > MaxSegments {
		return fmt.Errorf("%d segments of weights: want 1..%d", len(p), MaxSegments)
	}
	last := uint64(0)
	for i, s := range p {
		if err := s.validate(sources, last); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if last = s.Until; (last == 0) != (i == len(p)-1) {
			return fmt.Errorf("segment %d ends at step %d: the last one, and no other, has no end",
				i, last)
		}
	}
	return nil
}

func (s *Segment) validate(sources int, before uint64) error {
	if s.Until > maxStep || s.Until > 0 && s.Until <= before {
		return fmt.Errorf("ends at step %d, the one before it at step %d", s.Until, before)
	}
	if err := checkWeights(s.From, sources); err != nil {
		return err
	}
	if s.To == nil {
		return nil
	}
	if s.Steps == 0 || s.Steps > maxStep || s.Start > before || s.Until == 0 ||
		s.Until > s.Start+s.Steps {
		return fmt.Errorf("a ramp over %d steps after step %d cannot serve the steps %d..%d",
			s.Steps, s.Start, before+1, s.Until)
	}
	return checkWeights(s.To, sources)
}

func checkWeights(weights []uint64, sources int) error {
	if len(weights) != sources {
		return fmt.Errorf("%d weights for %d sources", len(weights), sources)
	}
	var sum uint64
	for i, w := range weights {
		if w > One {
			return fmt.Errorf("weight %d of source %d: want 0..2^32", w, i)
		}
		sum += w
	}
	if sum != One {
		return errors.New("the weights do not sum to 2^32")
	}
	return nil
}

// Splice is p for the first so many steps, and what later says of the steps after them.
func (p Plan) Splice(steps uint64, later Plan) Plan {
	var out Plan
	for _, s := range p {
		if steps == 0 {
			break
		}
		end := s.Until == 0 || s.Until >= steps
		if end {
			s.Until = steps
		}
		if out = append(out, s); end {
			break
		}
	}
	for _, s := range later {
		if s.Until > 0 && s.Until <= steps {
			continue
		}
		if n := len(out); n > 0 && s.goesOn(&out[n-1]) {
			out = out[:n-1]
		}
		out = append(out, s)
	}
	return out
}

// goesOn says whether a segment only makes the one before it longer.
func (s *Segment) goesOn(before *Segment) bool {
	return slices.Equal(s.From, before.From) && slices.Equal(s.To, before.To) &&
		s.Start == before.Start && s.Steps == before.Steps
}

// at is the index of the segment that a step belongs to.
func (p Plan) at(step uint64) int {
	i, _ := slices.BinarySearchFunc(p[:len(p)-1], step, func(s Segment, step uint64) int {
		if s.Until < step {
			return -1
		}
		return 1
	})
	return i
}

// Weights puts the weights of a step, 1 or more, into out, one a source. They sum to One. In a ramp
// they are what the line's integral grows by in the step, so that no rounding adds up; one may be a
// few units below 0 for that.
func (p Plan) Weights(step uint64, out []int64) {
	s := &p[p.at(step)]
	if s.To == nil {
		for i, w := range s.From {
			out[i] = int64(w)
		}
		return
	}
	// The source with the most takes what rounding leaves: the others' errors, each below a unit.
	k, rest, most := step-s.Start, int64(One), 0
	for i := range s.From {
		if s.From[i]+s.To[i] > s.From[most]+s.To[most] {
			most = i
		}
	}
	for i := range s.From {
		if i != most {
			out[i] = int64(s.From[i] + s.rise(i, k) - s.rise(i, k-1))
			rest -= out[i]
		}
	}
	out[most] = rest
}

// rise is floor((To-From) k^2 / (2 Steps)) modulo 2^64: what the integral of a source's line has
// gained over a constant From after k steps of the ramp. Differences of two are exact.
func (s *Segment) rise(source int, k uint64) uint64 {
	from, to := s.From[source], s.To[source]
	falls := to < from
	if falls {
		from, to = to, from
	}
	// k <= Steps, so both quotients below fit: (to-from) k / (2 Steps) <= 2^31, then a rest below
	// 2 Steps times k is divided by 2 Steps again.
	hi, lo := bits.Mul64(to-from, k)
	whole, rest := bits.Div64(hi, lo, 2*s.Steps)
	hi, lo = bits.Mul64(rest, k)
	part, rest := bits.Div64(hi, lo, 2*s.Steps)
	up := whole*k + part
	if !falls {
		return up
	}
	if rest > 0 {
		up++ // the floor of what is below 0
	}
	return -up
}

// Share is the share of all sequences of the first so many steps that each source is planned to
// have.
func (p Plan) Share(steps uint64) []float64 {
	share := make([]float64, len(p[0].From))
	for before := uint64(0); before < steps; {
		s := p[p.at(before+1)]
		last := steps
		if s.Until > 0 {
			last = min(steps, s.Until)
		}
		part := float64(last-before) / float64(steps)
		for i := range share {
			mean := float64(s.From[i])
			if s.To != nil { // the weight at the middle of the steps counted
				middle := (float64(before-s.Start) + float64(last-s.Start)) / 2
				mean += (float64(s.To[i]) - float64(s.From[i])) * middle / float64(s.Steps)
			}
			share[i] += part * mean / One
		}
		before = last
	}
	return share
}
