package mix

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// slotBound is what the deficits of a slot stay within, in sequences.
const slotBound = 3

func TestEverySlotKeepsItsOwnShare(t *testing.T) {
	worst := 0.0
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		slots := rapid.IntRange(1, 48).Draw(t, "slots")
		m := mustNew(t, weights, slots)
		taken := make([]int64, len(weights)*slots)
		for step := int64(1); step <= 500; step++ {
			for slot, source := range m.Next() {
				taken[slot*len(weights)+source]++
			}
			for k, n := range taken {
				off := float64(step*int64(weights[k%len(weights)])-n*One) / One
				worst = max(worst, off, -off)
				if worst > slotBound {
					t.Fatalf("step %d: slot %d is %g sequences off its plan of source %d",
						step, k/len(weights), off, k%len(weights))
				}
			}
		}
	})
	t.Logf("worst deficit of a slot: %.2f sequences", worst)
}

// Deficits of slots must not grow with time; these weights made them, before slots could swap.
func TestSlotsDoNotDrift(t *testing.T) {
	for _, slots := range []int{8, 35} {
		m := mustNew(t, []uint64{2147713028, 2147221504, 32764}, slots)
		worst := 0.0
		for range 20000 {
			m.Next()
			for _, d := range m.state.Slots {
				worst = max(worst, float64(d)/One, -float64(d)/One)
			}
		}
		if worst > slotBound {
			t.Errorf("%d slots: a deficit of %g sequences after 20000 steps", slots, worst)
		}
	}
}

func TestNoAliasingAtHalfAndHalf(t *testing.T) {
	for _, slots := range []int{1, 2, 4, 8, 15, 16, 64} {
		m := mustNew(t, []uint64{One / 2, One / 2}, slots)
		seen := make([][2]int, slots)
		for range 8 {
			for slot, source := range m.Next() {
				seen[slot][source]++
			}
		}
		for slot, n := range seen {
			if n[0] < 3 || n[1] < 3 {
				t.Errorf("%d slots: slot %d saw the sources %v times in 8 steps", slots, slot, n)
			}
		}
	}
}

func TestResumeGoesOnAsIfNothingHappened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		slots := rapid.IntRange(1, 24).Draw(t, "slots")
		straight, broken := mustNew(t, weights, slots), mustNew(t, weights, slots)
		for step := range 60 {
			if rapid.IntRange(0, 4).Draw(t, "kill") == 0 {
				raw, err := json.Marshal(broken.State())
				if err != nil {
					t.Fatal(err)
				}
				var state State
				if err := json.Unmarshal(raw, &state); err != nil {
					t.Fatal(err)
				}
				if broken, err = Resume(Constant(weights), slots, state); err != nil {
					t.Fatal(err)
				}
			}
			if a, b := straight.Next(), broken.Next(); !slices.Equal(a, b) {
				t.Fatalf("step %d: %v, resumed %v", step+1, a, b)
			}
		}
		if !straight.State().Equal(broken.State()) {
			t.Fatal("states differ")
		}
	})
}

// The order is part of the format: a run must be resumable by a later version.
func TestOrderIsPinned(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		slots   int
		weights []uint64
	}{
		{2, []uint64{One / 4 * 3, One / 4}},
		{8, []uint64{One / 2, One / 2}},
		{5, []uint64{One / 2, One / 3, One - One/2 - One/3}},
		{7, []uint64{One - 5, 2, 3}},
	} {
		m := mustNew(t, c.weights, c.slots)
		fmt.Fprintf(&out, "weights %v slots %d\n", c.weights, c.slots)
		for range 24 {
			fmt.Fprintf(&out, "%3d  %v\n", m.Step()+1, m.Next())
		}
		fmt.Fprintf(&out, "deficits %v\n", m.State().Global)
	}
	plan := Plan{{Until: 12, From: []uint64{One, 0}, To: []uint64{One / 4, One / 4 * 3}, Steps: 12},
		{From: []uint64{One / 4, One / 4 * 3}}}.Splice(18, Constant([]uint64{0, One}))
	m, err := New(plan, 4)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, "a ramp from 1:0 to 1:3 in 12 steps, slots 4; 0:1 from step 19 on")
	for range 24 {
		fmt.Fprintf(&out, "%3d  %v\n", m.Step()+1, m.Next())
	}
	fmt.Fprintf(&out, "deficits %v\n", m.State().Global)
	third := []uint64{One / 3, One - One/3*2, One / 3}
	odd := Plan{{Until: 7, From: third, To: []uint64{5, One - 8, 3}, Steps: 7}, {From: third}}
	fmt.Fprintln(&out, "the weights of a ramp that divides nothing evenly")
	for step, w := uint64(1), make([]int64, 3); step <= 7; step++ {
		odd.Weights(step, w)
		fmt.Fprintln(&out, step, w)
	}
	golden := filepath.Join("testdata", "order.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the order of the mixture changed:\n%s", out.String())
	}
}

func TestBadInputIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		weights []uint64
		slots   int
	}{
		"no sources": {nil, 1},
		"no slots":   {[]uint64{One}, 0},
		"short sum":  {[]uint64{One / 2, One/2 - 1}, 1},
		"overflow":   {[]uint64{1 << 63, 1 << 63, One}, 1},
	} {
		if _, err := New(Constant(c.weights), c.slots); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good := mustNew(t, []uint64{One / 2, One / 2}, 3)
	good.Next()
	for name, spoil := range map[string]func(*State){
		"sources":   func(s *State) { s.Global = s.Global[:1] },
		"slots":     func(s *State) { s.Slots = s.Slots[:4] },
		"sum":       func(s *State) { s.Slots[0]++ },
		"too large": func(s *State) { s.Slots[0] += 1 << 60; s.Slots[2] -= 1 << 60 },
		"global":    func(s *State) { s.Global[0] -= 8 * One; s.Slots[0] -= 8 * One },
	} {
		state := good.State()
		spoil(&state)
		if _, err := Resume(Constant([]uint64{One / 2, One / 2}), 3, state); err == nil {
			t.Errorf("state with bad %s: accepted", name)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	weights := make([]uint64, 8)
	for i := range weights {
		weights[i] = One / 8
	}
	m := mustNew(b, weights, 512)
	for b.Loop() {
		m.Next()
	}
	b.ReportMetric(float64(b.N)*512/b.Elapsed().Seconds(), "units/s")
	b.ReportMetric(float64(b.N)*512*2048/b.Elapsed().Seconds()/1e6, "Mtokens/s") // seq_len 2048
}

func mustNew(t interface{ Fatal(...any) }, weights []uint64, slots int) *Mixer {
	m, err := New(Constant(weights), slots)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// drawWeights draws shares that sum to One, tiny and equal ones among them.
func drawWeights(t *rapid.T) []uint64 {
	part := rapid.OneOf(
		rapid.Uint64Range(1, 1<<20), rapid.Uint64Range(1, 3), rapid.Just(uint64(1<<16)),
	)
	parts := rapid.SliceOfN(part, 1, 9).Draw(t, "parts")
	var sum, given uint64
	for _, p := range parts {
		sum += p
	}
	for i, p := range parts {
		parts[i] = max(1, p*(One/sum))
		given += parts[i]
	}
	big := 0
	for i, p := range parts {
		if p > parts[big] {
			big = i
		}
	}
	parts[big] += One - given
	return parts
}
