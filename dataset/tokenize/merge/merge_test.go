package merge

import (
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive merges by the definition alone.
func naive(rules map[[2]int32][2]int32, symbols []int32) []int32 {
	symbols = slices.Clone(symbols)
	for {
		best, at := int32(Limit), -1
		for i := range len(symbols) - 1 {
			if r, ok := rules[[2]int32{symbols[i], symbols[i+1]}]; ok && r[0] < best {
				best, at = r[0], i
			}
		}
		if at < 0 {
			return symbols
		}
		whole := rules[[2]int32{symbols[at], symbols[at+1]}][1]
		symbols = slices.Replace(symbols, at, at+2, whole)
	}
}

// drawRules draws merges of few symbols, ranks that come twice among them, and puts them into a
// table; a pair that is put twice takes its last.
func drawRules(t *rapid.T) (Table, map[[2]int32][2]int32) {
	n := rapid.IntRange(0, 60).Draw(t, "rules")
	table, rules := NewTable(n), map[[2]int32][2]int32{}
	symbol := rapid.OneOf(rapid.Int32Range(0, 5), rapid.Int32Range(Limit-3, Limit-1))
	for whole := range n {
		// Each side only grows: what a merge makes is no older symbol.
		left, right := symbol.Draw(t, "left"), symbol.Draw(t, "right")
		if whole > 0 && rapid.Bool().Draw(t, "again") {
			left = int32(100 + rapid.IntRange(0, whole-1).Draw(t, "part"))
		}
		rank := int32(rapid.OneOf(rapid.IntRange(0, 9), rapid.IntRange(0, Limit-1)).Draw(t, "rank"))
		rules[[2]int32{left, right}] = [2]int32{rank, int32(100 + whole)}
		table.Put(left, right, uint32(rank), int32(100+whole))
	}
	return table, rules
}

func TestBothWaysAreTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, rules := drawRules(t)
		symbol := rapid.OneOf(rapid.Int32Range(0, 5), rapid.Int32Range(Limit-3, Limit-1))
		symbols := rapid.SliceOfN(symbol, 0, Most).Draw(t, "symbols")
		want := naive(rules, symbols)

		var list List
		for i, s := range symbols {
			list.Add(s, i)
		}
		pairs := map[[2]int32]bool{}
		table.Long(&list, func(left, right, whole int32) {
			pairs[[2]int32{left, right}] = true
			if rules[[2]int32{left, right}][1] != whole {
				t.Fatalf("heard that %d and %d make %d", left, right, whole)
			}
		})
		var long, starts []int32
		for s, start := range list.All() {
			long, starts = append(long, s), append(starts, int32(start))
		}
		var ranks Ranks
		short := slices.Clone(symbols)
		n, highest := table.Short(short, &ranks)
		if !slices.Equal(short[:n], want) || !slices.Equal(long, want) {
			t.Fatalf("%v: short %v, long %v, want %v", symbols, short[:n], long, want)
		}
		if len(want) < len(symbols) && (highest < 0 || len(pairs) == 0) {
			t.Fatalf("%v became %v: highest rank %d, heard of %v", symbols, want, highest, pairs)
		}
		if !slices.IsSorted(starts) || len(starts) > 0 && starts[0] != 0 {
			t.Fatalf("starts %v", starts)
		}
	})
}

// What merges with nothing stands between what does.
func TestNegativeSymbolsStay(t *testing.T) {
	table := NewTable(1)
	table.Put(1, 1, 0, 2)
	var list List
	for i, s := range []int32{1, -1, 1, 1, -5} {
		list.Add(s, 10*i)
	}
	table.Long(&list, nil)
	var got []int32
	for s, start := range list.All() {
		got = append(got, s, int32(start))
	}
	if want := []int32{1, 0, -1, 10, 2, 20, -5, 40}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A list of a million symbols costs n log n, and its memory does not outlive it.
func TestLongList(t *testing.T) {
	table := NewTable(20)
	for k := range int32(20) {
		table.Put(k, k, uint32(k), k+1)
	}
	var list List
	for i := range 1 << 20 {
		list.Add(0, i)
	}
	table.Long(&list, nil)
	for s := range list.All() {
		if s != 20 {
			t.Errorf("symbol %d is left", s)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list.Reset()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if freed := int64(before.HeapAlloc) - int64(after.HeapAlloc); freed < 16<<20 {
		t.Errorf("only %d bytes of a long list are given back", freed)
	}
	list.Add(1, 0)
}
