package mix

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawPlan draws segments that end within some hundred steps, ramps and sources without weight
// among them, and cuts the plan by edits.
func drawPlan(t *rapid.T, sources int) Plan {
	var p Plan
	last := uint64(0)
	for range rapid.IntRange(0, 4).Draw(t, "segments") {
		s := Segment{Until: last + rapid.Uint64Range(1, 80).Draw(t, "steps"),
			From: drawShares(t, sources)}
		if rapid.Bool().Draw(t, "ramp") {
			s.To, s.Start, s.Steps = drawShares(t, sources), last, s.Until-last
		}
		p, last = append(p, s), s.Until
	}
	p = append(p, Segment{From: drawShares(t, sources)})
	for range rapid.IntRange(0, 2).Draw(t, "edits") {
		p = p.Splice(rapid.Uint64Range(0, last+20).Draw(t, "edit"), Constant(drawShares(t, sources)))
	}
	return p
}

func drawShares(t *rapid.T, sources int) []uint64 {
	part := rapid.OneOf(rapid.Uint64Range(0, 1<<20), rapid.Uint64Range(0, 2))
	parts := rapid.SliceOfN(part, sources, sources).Draw(t, "parts")
	parts[rapid.IntRange(0, sources-1).Draw(t, "some")]++
	var sum, given uint64
	for _, p := range parts {
		sum += p
	}
	big := 0
	for i, p := range parts {
		if p > parts[big] {
			big = i
		}
		parts[i] = p * (One / sum)
		given += parts[i]
	}
	parts[big] += One - given
	return parts
}

func TestI10EverySourceIsWithinSSequencesOfItsPlanAtEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 9).Draw(t, "sources")
		plan := drawPlan(t, sources)
		slots := rapid.IntRange(1, 32).Draw(t, "slots")
		m, err := New(plan, slots)
		if err != nil {
			t.Fatal(err)
		}
		taken := make([]int64, sources)
		planned, step := make([]int64, sources), make([]int64, sources)
		used := make([]bool, sources)
		for n := uint64(1); n <= 300; n++ {
			if rapid.IntRange(0, 40).Draw(t, "kill") == 0 {
				m = resumed(t, plan, slots, m.State())
			}
			for _, source := range m.Next() {
				taken[source]++
			}
			plan.Weights(n, step)
			for i, w := range step {
				planned[i] += int64(slots) * w
				used[i] = used[i] || w != 0
				owed := planned[i] - taken[i]*One
				if owed <= -One || owed >= int64(sources)*One {
					t.Fatalf("step %d: source %d is off its plan by %g sequences",
						n, i, float64(owed)/One)
				}
				if owed != m.state.Global[i] {
					t.Fatalf("step %d: source %d: state says %d, is %d", n, i, m.state.Global[i], owed)
				}
				if !used[i] && taken[i] > 0 {
					t.Fatalf("step %d: source %d has had no weight, but was read", n, i)
				}
			}
		}
	})
}

// resumed is a Mixer from a state that went through JSON, as a cursor takes it.
func resumed(t *rapid.T, plan Plan, slots int, state State) *Mixer {
	raw, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	m, err := Resume(plan, slots, back)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The sum of a plan's weights is the integral of its lines: computed here with rationals, segment
// by segment.
func TestWeightsAreTheIntegralOfThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 5).Draw(t, "sources")
		plan := drawPlan(t, sources)
		sum := make([]int64, sources)
		step := make([]int64, sources)
		for n := uint64(1); n <= 250; n++ {
			plan.Weights(n, step)
			total := int64(0)
			for i, w := range step {
				sum[i] += w
				total += w
				want := integral(plan, i, n)
				off, _ := new(big.Rat).Sub(new(big.Rat).SetInt64(sum[i]), want).Float64()
				if math.Abs(off) > float64(sources*len(plan)) {
					t.Fatalf("step %d, source %d: the weights sum to %d, %g off the integral", n, i,
						sum[i], off)
				}
				if share := plan.Share(n)[i]; math.Abs(share-float64(sum[i])/One/float64(n)) > 1e-6 {
					t.Fatalf("step %d, source %d: share %g, the weights say %g", n, i, share,
						float64(sum[i])/One/float64(n))
				}
			}
			if total != One {
				t.Fatalf("step %d: weights %v sum to %d", n, step, total)
			}
		}
	})
}

// integral is what the lines of a plan give a source in the first so many steps.
func integral(p Plan, source int, steps uint64) *big.Rat {
	sum := new(big.Rat)
	rat := func(a, b uint64) *big.Rat { return big.NewRat(int64(a), int64(b)) }
	before := uint64(0)
	for _, s := range p {
		last := steps
		if s.Until > 0 {
			last = min(steps, s.Until)
		}
		if last <= before {
			break
		}
		from := rat(s.From[source], 1)
		sum.Add(sum, new(big.Rat).Mul(from, rat(last-before, 1)))
		if s.To != nil {
			slope := new(big.Rat).Sub(rat(s.To[source], 1), from)
			a, b := before-s.Start, last-s.Start
			sum.Add(sum, slope.Mul(slope, rat(b*b-a*a, 2*s.Steps)))
		}
		before = last
	}
	return sum
}

// A ramp over the longest run must not overflow or drift.
func TestLongRamp(t *testing.T) {
	const steps = 1 << 50
	a, b := []uint64{One, 0, 0}, []uint64{1, One / 3, One - One/3 - 1}
	p := Plan{{Until: steps, From: a, To: b, Steps: steps}, {From: b}}
	if err := p.Validate(3); err != nil {
		t.Fatal(err)
	}
	w := make([]int64, 3)
	for _, step := range []uint64{1, 2, steps / 2, steps - 1, steps, steps + 1} {
		p.Weights(step, w)
		for i := range w {
			at := math.Min((float64(step)-0.5)/steps, 1)
			want := float64(a[i]) + (float64(b[i])-float64(a[i]))*at
			if math.Abs(float64(w[i])-want) > 3 {
				t.Errorf("step %d: weight %d of source %d, want about %g", step, w[i], i, want)
			}
		}
	}
}

func TestSpliceKeepsWhatWasAndTakesWhatComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 3).Draw(t, "sources")
		a, b := drawPlan(t, sources), drawPlan(t, sources)
		cut := rapid.Uint64Range(0, 250).Draw(t, "cut")
		p := a.Splice(cut, b)
		if err := p.Validate(sources); err != nil {
			t.Fatal(err)
		}
		got, want := make([]int64, sources), make([]int64, sources)
		for step := uint64(1); step <= 300; step++ {
			from := a
			if step > cut {
				from = b
			}
			p.Weights(step, got)
			from.Weights(step, want)
			if !slices.Equal(got, want) {
				t.Fatalf("step %d: %v, want %v", step, got, want)
			}
		}
	})
}

func TestBadPlansAreRefused(t *testing.T) {
	half := []uint64{One / 2, One / 2}
	for want, p := range map[string]Plan{
		"0 segments":                  {},
		"1 weights for 2 sources":     {{From: []uint64{One}}},
		"do not sum":                  {{From: []uint64{One, 1}}},
		"weight 18446744073709551615": {{From: []uint64{math.MaxUint64, One + 1}}},
		"no other, has no end":        {{From: half}, {From: half}},
		"the last one, and no other":  {{Until: 4, From: half}},
		"ends at step 3, the one before it at step 3": {{Until: 3, From: half},
			{Until: 3, From: half}, {From: half}},
		"a ramp over 0 steps":         {{Until: 3, From: half, To: half}, {From: half}},
		"cannot serve the steps 1..0": {{From: half, To: half, Steps: 9}},
		"cannot serve the steps 1..9": {{Until: 9, From: half, To: half, Steps: 8}, {From: half}},
		"after step 5": {{Until: 9, From: half, To: half, Start: 5, Steps: 4},
			{From: half}},
	} {
		if err := p.Validate(2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
