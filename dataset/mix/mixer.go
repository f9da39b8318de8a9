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
	weights []int64 // by source; Invariant: all positive, their sum is One
	slots   int
	state   State
	quota   []int // by source, of the step being made
}

// New returns a Mixer before its first step. weights are shares in units of 2^-32, one a source,
// that sum to One; slots is the global batch B.
func New(weights []uint64, slots int) (*Mixer, error) {
	m, err := build(weights, slots)
	if err != nil {
		return nil, fmt.Errorf("make mixer: %w", err)
	}
	m.state = State{
		Global: make([]int64, len(weights)),
		Slots:  make([]int64, len(weights)*slots),
	}
	return m, nil
}

// Resume returns a Mixer that goes on after the step at whose end state was taken. The weights
// need not be those the state was made with: what a source is owed stays owed.
func Resume(weights []uint64, slots int, state State) (*Mixer, error) {
	m, err := build(weights, slots)
	if err != nil {
		return nil, fmt.Errorf("resume mixer: %w", err)
	}
	if err := state.Validate(len(weights), slots); err != nil {
		return nil, fmt.Errorf("resume mixer: %w", err)
	}
	m.state = state.Clone()
	return m, nil
}

func build(weights []uint64, slots int) (*Mixer, error) {
	if slots < 1 || slots > MaxSlots {
		return nil, fmt.Errorf("%d slots: want 1..%d", slots, MaxSlots)
	}
	if len(weights) < 1 || len(weights) > MaxSources {
		return nil, fmt.Errorf("%d sources: want 1..%d", len(weights), MaxSources)
	}
	m := &Mixer{slots: slots, weights: make([]int64, len(weights)), quota: make([]int, len(weights))}
	var sum uint64
	for i, w := range weights {
		if w == 0 || w > One {
			return nil, fmt.Errorf("weight %d of source %d: want 1..2^32", w, i)
		}
		sum += w
		m.weights[i] = int64(w)
	}
	if sum != One {
		return nil, errors.New("the weights do not sum to 2^32")
	}
	return m, nil
}

// Next makes the next step: the source index of every slot, by slot. The slice is the caller's.
func (m *Mixer) Next() []int {
	m.takeQuota()
	m.state.Step++
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
