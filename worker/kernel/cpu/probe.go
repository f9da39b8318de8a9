package cpu

import "slices"

// FMAFlops runs rounds of independent multiply-adds of a class in the registers of the calling
// thread and returns how many floating-point operations that was: timed, it is the ceiling of a
// matrix product on one core. It is 0 for a class that this host does not serve.
func FMAFlops(isa string, rounds int) float64 {
	if !slices.Contains(served(), isa) || rounds < 1 {
		return 0
	}
	return fmaFlops(isa, rounds)
}
