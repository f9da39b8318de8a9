package main

// random is splitmix64 (Steele, Lea, Flood 2014): 64 bits of state, the same on every machine
// and in every Go version.
type random struct{ state uint64 }

// newRandom seeds from a name by FNV-1a.
func newRandom(name string) *random {
	state := uint64(0xCBF29CE484222325)
	for i := range len(name) {
		state = (state ^ uint64(name[i])) * 0x100000001B3
	}
	return &random{state}
}

func (r *random) next() uint64 {
	r.state += 0x9E3779B97F4A7C15
	z := r.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// between returns a number in [lo, hi].
func (r *random) between(lo, hi int) int {
	return lo + int(r.next()%uint64(hi-lo+1))
}
