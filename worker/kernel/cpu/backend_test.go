package cpu

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/banyan-train/banyan/worker/kernel"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func TestLayoutIsSharedWithC(t *testing.T) {
	var op kernel.Op
	want := [4]uintptr{unsafe.Sizeof(op), unsafe.Offsetof(op.P), unsafe.Offsetof(op.N),
		unsafe.Offsetof(op.X)}
	if got := opLayout(); got != want {
		t.Errorf("C has %v, Go has %v", got, want)
	}
	if got := opCodes(); got != [2]kernel.Code{kernel.OpFill, kernel.OpSumRows} {
		t.Errorf("C's first and last op codes are %v", got)
	}
}

func TestBadProgramsAreErrors(t *testing.T) {
	be := open(t, "", 2)
	c := &call{be: be, rng: newRand(1)}
	x, ids := c.in(64), c.indices(4, 0, 4)
	be.HostInts(ids)[3] = 7
	low := c.indices(4, -2, -1)
	for name, w := range map[string]struct {
		op   kernel.Op
		text string
	}{
		"code 0":  {kernel.Op{}, "unknown op code"},
		"code 99": {kernel.Op{Code: 99}, "unknown op code"},
		"code -1": {kernel.Op{Code: -1}, "unknown op code"},
		"id": {kernel.Embed(x.Slice(0, 16), x.Slice(0, 16), ids, 4, 4, 4),
			"index 7 at row 3"},
		"id in grad": {kernel.EmbedGrad(x.Slice(0, 16), x.Slice(16, 32), ids, 4, 4, 4),
			"index 7"},
		"negative": {kernel.Embed(x.Slice(0, 16), x.Slice(0, 16), low, 4, 4, 4),
			"index -2 at row 0"},
		"target": {kernel.CrossEntropy(x.Slice(0, 4), x.Slice(4, 20), x.Slice(4, 20), ids, 4, 4),
			"index 7 at row 3"},
		"chunk": {kernel.Op{Code: kernel.OpSumSquares, N: [8]int64{5}}, "shape"},
	} {
		err := be.Run([]kernel.Op{kernel.Fill(x, 1), w.op})
		if err == nil || !strings.Contains(err.Error(), "op 1") ||
			!strings.Contains(err.Error(), w.text) {
			t.Errorf("%s: error %v, want one with %q", name, err, w.text)
		}
	}
	if err := be.Run(nil); err != nil {
		t.Error(err)
	}
}

func TestBadAllocationsAreErrors(t *testing.T) {
	be := open(t, "", 1)
	for _, n := range []int{-1, math.MaxInt, math.MaxInt / 16, 1 << 50} {
		if _, err := be.Alloc(n, kernel.F32); err == nil {
			t.Errorf("%d elements were allocated", n)
		}
	}
	if _, err := be.Alloc(4, 9); err == nil {
		t.Error("dtype 9 was allocated")
	}
	for _, n := range []int{0, 1, 15, 1000} {
		x, err := be.Alloc(n, kernel.F32)
		if err != nil || x.Addr%64 != 0 || len(be.Host(x)) != n {
			t.Errorf("%d elements: %v, %d of them, at %#x", n, err, len(be.Host(x)), x.Addr)
		}
		if slices.ContainsFunc(be.Host(x), func(v float32) bool { return v != 0 }) {
			t.Errorf("%d elements: not zeroed", n)
		}
	}
}

func TestISAClasses(t *testing.T) {
	all := Classes()
	if len(all) == 0 {
		t.Fatal("no classes")
	}
	if os.Getenv(envISA) == "" && all[len(all)-1] != "generic" {
		t.Errorf("classes %v: generic is not the last", all)
	}
	t.Setenv(envISA, "generic")
	if got := Classes(); !slices.Equal(got, []string{"generic"}) {
		t.Errorf("restricted to generic: %v", got)
	}
	if be := open(t, "", 1); be.Name() != "cpu/generic" {
		t.Errorf("restricted to generic: %s", be.Name())
	}
	if _, err := New(Options{ISA: "avx2"}); err == nil || !strings.Contains(err.Error(), envISA) {
		t.Errorf("avx2 although restricted to generic: %v", err)
	}
	t.Setenv(envISA, "mmx")
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "BANYAN_ISA=mmx") {
		t.Errorf("restricted to mmx: %v", err)
	}
	t.Setenv(envISA, "")
	if _, err := New(Options{ISA: "mmx"}); err == nil {
		t.Error("class mmx was opened")
	}
	if _, err := New(Options{Threads: -1}); err == nil {
		t.Error("-1 threads were started")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip("needs /proc: ", err)
		}
		return len(tasks)
	}
	before := threads()
	for range 30 {
		be, err := New(Options{Threads: 5})
		if err != nil {
			t.Fatal(err)
		}
		x, err := be.Alloc(1<<20, kernel.F32)
		if err != nil {
			t.Fatal(err)
		}
		if err := be.Run([]kernel.Op{kernel.Fill(x, 1)}); err != nil {
			t.Fatal(err)
		}
		if len(be.(*backend).memory) != 1 {
			t.Fatal("the allocation is not on the books")
		}
		be.Close()
		be.Close()
		if len(be.(*backend).memory) != 0 {
			t.Fatal("memory is left after Close")
		}
		if err := be.Run([]kernel.Op{kernel.Fill(x, 1)}); err == nil {
			t.Fatal("a closed backend ran")
		}
		if _, err := be.Alloc(1, kernel.F32); err == nil {
			t.Fatal("a closed backend allocated")
		}
	}
	if after := threads(); after > before+15 { // the Go runtime may have started a few
		t.Errorf("%d threads before, %d after", before, after)
	}
}
