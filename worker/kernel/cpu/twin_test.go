package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/ref"
)

const seeds = 5 // random sizes a case, thread count and class

func TestEveryOpMatchesItsTwin(t *testing.T) {
	for _, isa := range Classes() {
		be := open(t, isa, 2)
		for name, c := range cases {
			t.Run(isa+"/"+name, func(t *testing.T) {
				for seed := range uint64(seeds) {
					matches(t, be, seed, c.build, c.tol)
				}
			})
		}
	}
}

func TestI3_SameBitsForAnyThreadCount(t *testing.T) {
	for _, isa := range Classes() {
		one := open(t, isa, 1)
		many := []kernel.Backend{open(t, isa, 2), open(t, isa, 3), open(t, isa, 4)}
		for name, c := range cases {
			for seed := range uint64(seeds) {
				names, want := do(t, one, seed, c.build)
				for i, be := range many {
					_, got := do(t, be, seed, c.build)
					for j := range want {
						if !slices.EqualFunc(want[j], got[j], sameBits) {
							t.Fatalf("%s, %d threads, %s of %s, seed %d: other bits than with one",
								isa, i+2, names[j], name, seed)
						}
					}
				}
			}
		}
	}
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

func poisoned(be kernel.Backend, seed uint64) *call {
	return &call{be: be, rng: rand.New(rand.NewPCG(seed, 3)), poison: true}
}

// TestNaNReachesEveryResultItShould puts one NaN into one operand. The twin says which results must
// be NaN then; only attention may have more of them (see doc.go).
func TestNaNReachesEveryResultItShould(t *testing.T) {
	twin := ref.New()
	defer twin.Close()
	for _, isa := range Classes() {
		be := open(t, isa, 2)
		for name, c := range cases {
			more := strings.HasPrefix(name, "attention")
			for seed := range uint64(seeds) {
				names, got := run(t, poisoned(be, seed), c.build)
				_, want := run(t, poisoned(twin, seed), c.build)
				for i := range want {
					for j, w := range want[i] {
						g, w := math.IsNaN(float64(got[i][j])), math.IsNaN(float64(w))
						if w && !g || g && !w && !more {
							t.Fatalf("%s, %s of %s, seed %d, element %d: NaN is %v, want %v",
								isa, names[i], name, seed, j, g, w)
						}
					}
				}
			}
		}
	}
}
