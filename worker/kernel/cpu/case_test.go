package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/ref"
)

// A call is one op on one backend with its operands; build makes the same call, from the same
// seed, on any backend. Outputs that the op sets start as NaN: an element it forgets is seen.
type call struct {
	be      kernel.Backend
	rng     *rand.Rand
	op      kernel.Op
	inputs  []kernel.Tensor // what in made
	outputs []output
	poison  bool // put a NaN into one of the inputs
	half    bool // operands that may be BF16 are, or some of them
	all     []kernel.Tensor
	failed  error
}

type output struct {
	name   string
	tensor kernel.Tensor
}

type build func(c *call)

func (c *call) alloc(n int, dt kernel.DType) kernel.Tensor {
	t, err := c.be.Alloc(n, dt)
	if err != nil && c.failed == nil {
		c.failed = err
	}
	c.all = append(c.all, t)
	return t
}

// in is n normal numbers.
func (c *call) in(n int) kernel.Tensor {
	t := c.alloc(n, kernel.F32)
	for i := range c.be.Host(t) {
		c.be.Host(t)[i] = float32(c.rng.NormFloat64())
	}
	c.inputs = append(c.inputs, t)
	return t
}

// num is n normal numbers, BF16 if the call is of halves.
func (c *call) num(n int) kernel.Tensor {
	if !c.half {
		return c.in(n)
	}
	t := c.alloc(n, kernel.BF16)
	for i := range c.be.HostHalf(t) {
		c.be.HostHalf(t)[i] = kernel.ToBF16(float32(c.rng.NormFloat64()))
	}
	c.inputs = append(c.inputs, t)
	return t
}

// mixed is num where the op takes any mix of dtypes.
func (c *call) mixed(n int) kernel.Tensor {
	if c.rng.IntN(2) == 0 {
		return c.in(n)
	}
	return c.num(n)
}

// freshNum is fresh, BF16 if the call is of halves.
func (c *call) freshNum(name string, n int) kernel.Tensor {
	if !c.half {
		return c.fresh(name, n)
	}
	t := c.alloc(n, kernel.BF16)
	for i := range c.be.HostHalf(t) {
		c.be.HostHalf(t)[i] = kernel.ToBF16(float32(math.NaN()))
	}
	return c.also(name, t)
}

func (c *call) freshMixed(name string, n int) kernel.Tensor {
	if c.rng.IntN(2) == 0 {
		return c.fresh(name, n)
	}
	return c.freshNum(name, n)
}

// values is a copy of a tensor of either dtype.
func values(be kernel.Backend, t kernel.Tensor) []float32 {
	if t.DType == kernel.F32 {
		return append([]float32(nil), be.Host(t)...)
	}
	var out []float32
	for _, h := range be.HostHalf(t) {
		out = append(out, kernel.FromBF16(h))
	}
	return out
}

// fresh is an output that the op sets.
func (c *call) fresh(name string, n int) kernel.Tensor {
	t := c.alloc(n, kernel.F32)
	for i := range c.be.Host(t) {
		c.be.Host(t)[i] = float32(math.NaN())
	}
	return c.also(name, t)
}

// also marks an operand that the op changes as an output.
func (c *call) also(name string, t kernel.Tensor) kernel.Tensor {
	c.outputs = append(c.outputs, output{name, t})
	return t
}

// indices is n integers of [lo, hi).
func (c *call) indices(n, lo, hi int) kernel.Tensor {
	t := c.alloc(n, kernel.I32)
	for i := range c.be.HostInts(t) {
		c.be.HostInts(t)[i] = int32(lo + c.rng.IntN(hi-lo))
	}
	return t
}

// documents is the operand first[B,T]: documents of random length, some long, some of one token.
func (c *call) documents(b, t int) kernel.Tensor {
	f := c.alloc(b*t, kernel.I32)
	rows := c.be.HostInts(f)
	for s := range b {
		start, odds := 0, []int{1 << 30, 3, 50}[c.rng.IntN(3)]
		for i := range t {
			if i > 0 && c.rng.IntN(odds) == 0 {
				start = i
			}
			rows[s*t+i] = int32(start)
		}
	}
	return f
}

// do builds and runs the call on a backend and returns copies of its outputs.
func do(t testing.TB, be kernel.Backend, seed uint64, b build) (names []string, out [][]float32) {
	t.Helper()
	return run(t, &call{be: be, rng: rand.New(rand.NewPCG(seed, 7))}, b)
}

func run(t testing.TB, c *call, b build) (names []string, out [][]float32) {
	t.Helper()
	be := c.be
	b(c)
	defer func() {
		for _, x := range c.all {
			be.Free(x)
		}
	}()
	if c.failed != nil {
		t.Fatal(c.failed)
	}
	if c.poison && len(c.inputs) > 0 {
		x := c.inputs[c.rng.IntN(len(c.inputs))]
		if i := c.rng.IntN(x.Len); x.DType == kernel.BF16 {
			be.HostHalf(x)[i] = kernel.ToBF16(float32(math.NaN()))
		} else {
			be.Host(x)[i] = float32(math.NaN())
		}
	}
	if err := be.Run([]kernel.Op{c.op}); err != nil {
		t.Fatal(err)
	}
	for _, o := range c.outputs {
		names = append(names, o.name)
		out = append(out, values(be, o.tensor))
	}
	return names, out
}

// open starts a backend that the test closes.
func open(t testing.TB, isa string, threads int) kernel.Backend {
	t.Helper()
	be, err := New(Options{Threads: threads, ISA: isa})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(be.Close)
	return be
}

// near compares with a tolerance scaled per tensor: tol times the root mean square of want, which
// is what rounding errors of sums scale with. NaN must meet NaN.
func near(got, want []float32, tol float64) error {
	var sum float64
	n := 0
	for _, w := range want {
		if !math.IsNaN(float64(w)) && !math.IsInf(float64(w), 0) {
			sum += float64(w) * float64(w)
			n++
		}
	}
	scale := math.Sqrt(sum / float64(max(n, 1)))
	for i, w := range want {
		g, w := float64(got[i]), float64(w)
		if math.IsNaN(g) != math.IsNaN(w) {
			return fmt.Errorf("element %d of %d: %g, want %g", i, len(want), g, w)
		}
		if math.Abs(g-w) > tol*(scale+math.Abs(w)) {
			return fmt.Errorf("element %d of %d: %.9g, want %.9g (rms %.3g)", i, len(want),
				g, w, scale)
		}
	}
	return nil
}

// matches runs the call on be and on the twin and compares every output.
func matches(t testing.TB, be kernel.Backend, seed uint64, b build, tol float64) {
	t.Helper()
	twin := ref.New()
	defer twin.Close()
	names, got := do(t, be, seed, b)
	_, want := do(t, twin, seed, b)
	for i, name := range names {
		if err := near(got[i], want[i], tol); err != nil {
			t.Fatalf("%s, seed %d: %s: %v", be.Name(), seed, name, err)
		}
	}
}
