package mix

import (
	"fmt"
	"slices"
)

// State is all that a Mixer remembers, at the end of a step. It does not depend on the number of
// ranks. Deficits are in units of 2^-32 sequences: positive where a source is owed some.
type State struct {
	Step   uint64  `json:"step"`   // steps made
	Global []int64 `json:"global"` // by source
	Slots  []int64 `json:"slots"`  // by slot, then by source
}

// Clone returns a deep copy.
func (s State) Clone() State {
	return State{Step: s.Step, Global: slices.Clone(s.Global), Slots: slices.Clone(s.Slots)}
}

// Equal tells whether both states are the same.
func (s State) Equal(o State) bool {
	return s.Step == o.Step && slices.Equal(s.Global, o.Global) && slices.Equal(s.Slots, o.Slots)
}

// Validate checks that the state can be that of a mixture of so many sources over so many slots.
func (s State) Validate(sources, slots int) error {
	if len(s.Global) != sources {
		return fmt.Errorf("mixer state has %d sources, the mixture %d", len(s.Global), sources)
	}
	if len(s.Slots) != sources*slots {
		return fmt.Errorf("mixer state has %d slot deficits, want %d sources x %d slots",
			len(s.Slots), sources, slots)
	}
	sums := make([]int64, sources)
	for i, d := range s.Slots {
		// A bound far above what can happen, and low enough that no sum below can overflow.
		if d > int64(slots+sources)*One || d < -int64(slots+sources)*One {
			return fmt.Errorf("mixer state: deficit %d of slot %d is out of range", d, i/sources)
		}
		sums[i%sources] += d
	}
	for i, d := range s.Global {
		if d <= -One || d > int64(sources)*One {
			return fmt.Errorf("mixer state: deficit %d of source %d is out of range", d, i)
		}
		if d != sums[i] {
			return fmt.Errorf("mixer state: source %d is owed %d in all, but %d by its slots",
				i, d, sums[i])
		}
	}
	return nil
}

// slot returns the deficits of one slot, to be changed in place.
func (s State) slot(slot, sources int) []int64 {
	return s.Slots[slot*sources : (slot+1)*sources]
}
