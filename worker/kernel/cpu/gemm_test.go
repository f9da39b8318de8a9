package cpu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
)

// Products whose b is too large for one pass: over N where that is longer, else over K. What waits
// between passes over K lies in c, or beside it where c is needed: accumulated, or rounded.
func TestLargeProductsTakeSeveralPasses(t *testing.T) {
	for _, shape := range [][3]int{{37, 4000, 700}, {37, 500, 4700}} {
		for _, o := range []kernel.MatmulOptions{{TransB: true}, {TransA: true, Accumulate: true}} {
			for _, half := range []bool{false, true} {
				build := func(c *call) {
					c.half = half
					m, n, k := shape[0], shape[1], shape[2]
					var out kernel.Tensor
					if o.Accumulate {
						out = c.also("c", c.num(m*n))
					} else {
						out = c.freshNum("c", m*n)
					}
					c.op = kernel.Matmul(out, c.num(m*k), c.num(k*n), m, n, k, o)
				}
				tol := 5e-6
				if half {
					tol = 1.0 / 128
				}
				for _, isa := range Classes() {
					t.Run(fmt.Sprintf("%s/%v/%+v/%v", isa, shape, o, half), func(t *testing.T) {
						matches(t, open(t, isa, 2), 1, build, tol)
						_, one := do(t, open(t, isa, 1), 1, build)
						_, three := do(t, open(t, isa, 3), 1, build)
						for i := range one {
							if !slices.EqualFunc(one[i], three[i], sameBits) {
								t.Error("other bits with three threads than with one")
							}
						}
					})
				}
			}
		}
	}
}
