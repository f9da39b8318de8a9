package mix

import (
	"errors"
	"fmt"
)

// One is a weight of 1, and the deficit of one sequence: 2^32.
const One = 1 << 32

// Limits of what a Mixer accepts: they keep every deficit far inside an int64.
const (
	MaxSources = 1 << 12
	MaxSlots   = 1 << 20
)

// Mixer hands out the sources of one step after the other. It is not safe for concurrent use.
type Mixer struct {
	plan    Plan
	weights []int64 // by source, of the step being made; Invariant: their sum is One
	slots   int
	state   State
	quota   []int // by source, of the step being made
}

// New returns a Mixer before its first step. slots is the global batch B.
func New(plan Plan, slots int) (*Mixer, error) {
	m, err := build(plan, slots)
	if err != nil {
		return nil, fmt.Errorf("make mixer: %w", err)
	}
	m.state = State{
		Global: make([]int64, len(m.weights)),
		Slots:  make([]int64, len(m.weights)*slots),
	}
	return m, nil
}

// Resume returns a Mixer that goes on after the step at whose end state was taken. The plan need
// not be the one the state was made with: what a source is owed stays owed.
func Resume(plan Plan, slots int, state State) (*Mixer, error) {
	m, err := build(plan, slots)
	if err != nil {
		return nil, fmt.Errorf("resume mixer: %w", err)
	}
	if err := state.Validate(len(m.weights), slots); err != nil {
		return nil, fmt.Errorf("resume mixer: %w", err)
	}
	m.state = state.Clone()
	return m, nil
}

func build(plan Plan, slots int) (*Mixer, error) {
	if slots < 1 || slots > MaxSlots {
		return nil, fmt.Errorf("%d slots: want 1..%d", slots, MaxSlots)
	}
	if len(plan) == 0 {
		return nil, errors.New("the plan is empty")
	}
	sources := len(plan[0].From)
	if err := plan.Validate(sources); err != nil {
		return nil, err
	}
	return &Mixer{plan: plan, slots: slots, weights: make([]int64, sources),
		quota: make([]int, sources)}, nil
}

// Next makes the next step: the source index of every slot, by slot. The slice is the caller's.
func (m *Mixer) Next() []int {
	m.state.Step++
	m.plan.Weights(m.state.Step, m.weights)
	m.takeQuota()
	sources := make([]int, m.slots)
	// The slot that chooses last gets what is left. The start moves so that it is not always the
	// same one; step mod slots is all it depends on.
	start := int(m.state.Step % uint64(m.slots))
	for i := range m.slots {
		slot := start + i
		if slot >= m.slots {
			slot -= m.slots
		}
		sources[slot] = m.assign(slot)
	}
	m.swap(sources)
	return sources
}

// takeQuota gives out the B units of a step, one at a time.
func (m *Mixer) takeQuota() {
	clear(m.quota)
	global := m.state.Global
	for range m.slots {
		best := 0
		for i, w := range m.weights {
			global[i] += w
			if global[i] > global[best] {
				best = i
			}
		}
		global[best] -= One
		m.quota[best]++
	}
}

// assign lets one slot take a unit of what the step's quota has left.
func (m *Mixer) assign(slot int) int {
	own := m.state.slot(slot, len(m.weights))
	best := -1
	for i, w := range m.weights {
		own[i] += w
		if m.quota[i] > 0 && (best < 0 || own[i] > own[best]) {
			best = i
		}
	}
	own[best] -= One
	m.quota[best]--
	return best
}

// swap lets pairs of slots trade sources where both together end nearer to their plans: where the
// sum of the squares of their deficits falls. Pairs are a power of two apart, so that B log B
// looks reach everyone. Without it deficits drift (5 sequences after 20,000 steps, and growing).
func (m *Mixer) swap(sources []int) {
	for gap := 1; gap < m.slots; gap *= 2 {
		for slot := range m.slots {
			other := slot + gap
			if other >= m.slots {
				other -= m.slots
			}
			a, b := sources[slot], sources[other]
			if a == b {
				continue
			}
			own := m.state.slot(slot, len(m.weights))
			its := m.state.slot(other, len(m.weights))
			if own[a]-own[b]+its[b]-its[a]+2*One >= 0 { // half the change of the sum of squares / One
				continue
			}
			own[a], own[b] = own[a]+One, own[b]-One
			its[b], its[a] = its[b]+One, its[a]-One
			sources[slot], sources[other] = b, a
		}
	}
}

// Step is the number of steps made so far.
func (m *Mixer) Step() uint64 { return m.state.Step }

// State returns a copy of the state after the last step made.
func (m *Mixer) State() State { return m.state.Clone() }
