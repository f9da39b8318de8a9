package source

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestBlocksCoverEveryByteOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blockBytes := rapid.Uint64Range(1, 40).Draw(t, "block")
		sizes := rapid.SliceOfN(rapid.Uint64Range(0, 100), 0, 8).Draw(t, "sizes")
		var files []*pb.PinnedFile
		for _, size := range sizes {
			files = append(files, &pb.PinnedFile{Size: size})
		}
		l, err := NewLayout(blockBytes, files)
		if err != nil {
			t.Fatal(err)
		}
		at, file := int64(0), 0
		for block := range l.Blocks() {
			e := l.Extent(block)
			for file < e.File {
				if at != int64(sizes[file]) {
					t.Fatalf("file %d ends at %d of %d", file, at, sizes[file])
				}
				file, at = file+1, 0
			}
			size := e.End - e.Start
			if e.File != file || e.Start != at || size < 1 || size > int64(blockBytes) {
				t.Fatalf("block %d is %+v behind byte %d of file %d", block, e, at, file)
			}
			at = e.End
		}
		for ; file < len(sizes); file, at = file+1, 0 {
			if at != int64(sizes[file]) {
				t.Fatalf("file %d ends at %d of %d", file, at, sizes[file])
			}
		}
	})
}

func TestBlockBytesIsClamped(t *testing.T) {
	for _, c := range []struct {
		total uint64
		slots int
		want  uint64
	}{
		{0, 1, MinBlockBytes}, {100 << 10, 16, MinBlockBytes}, {1 << 20, 16, 8 << 10},
		{1 << 40, 512, MaxBlockBytes}, {8*5000 + 7, 1, 5000},
	} {
		if got := BlockBytes(c.total, c.slots); got != c.want {
			t.Errorf("BlockBytes(%d, %d) = %d, want %d", c.total, c.slots, got, c.want)
		}
	}
}

func TestPermutationIsOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Uint64Range(1, 20), rapid.Uint64Range(1, 3000)).Draw(t, "n")
		p := NewPermutation(n, rapid.Uint64().Draw(t, "seed"), "s", rapid.Uint64().Draw(t, "epoch"))
		seen := make([]bool, n)
		for i := range n {
			block := p.At(i)
			if block >= n || seen[block] {
				t.Fatalf("position %d gives block %d, out of range or again", i, block)
			}
			seen[block] = true
		}
	})
}

// Each block must come about equally often at each position, over seeds, names and epochs.
func TestPermutationShuffles(t *testing.T) {
	const n, tries = 12, 6000
	var count [n][n]int
	for i := range uint64(tries) {
		p := NewPermutation(n, i%20, fmt.Sprint("source", i%3), i/20)
		for position := range uint64(n) {
			count[position][p.At(position)]++
		}
	}
	for position, row := range count {
		chi := 0.0
		for _, c := range row {
			off := float64(c) - tries/n
			chi += off * off / (tries / n)
		}
		if chi > 45 { // 11 degrees of freedom: exceeded once in 200,000
			t.Errorf("position %d: chi square %.1f: %v", position, chi, row)
		}
	}
}

func TestPermutationDependsOnAllOfItsKey(t *testing.T) {
	order := func(seed uint64, name string, epoch uint64) string {
		p := NewPermutation(50, seed, name, epoch)
		var at []uint64
		for i := range uint64(50) {
			at = append(at, p.At(i))
		}
		return fmt.Sprint(at)
	}
	seen := map[string]string{}
	for _, seed := range []uint64{0, 1, 1 << 63} {
		for _, name := range []string{"", "a", "ab"} {
			for epoch := range uint64(4) {
				id := fmt.Sprint(seed, name, epoch)
				if other, ok := seen[order(seed, name, epoch)]; ok {
					t.Errorf("%s and %s have the same order", id, other)
				}
				seen[order(seed, name, epoch)] = id
			}
		}
	}
}

// The order is part of the format: a run must be resumable by a later version.
func TestOrderIsPinned(t *testing.T) {
	var out strings.Builder
	for _, n := range []uint64{1, 2, 7, 30} {
		for epoch := range uint64(3) {
			p := NewPermutation(n, 7, "wiki-zh", epoch)
			fmt.Fprintf(&out, "K %d epoch %d:", n, epoch)
			for i := range n {
				fmt.Fprintf(&out, " %d", p.At(i))
			}
			out.WriteByte('\n')
		}
	}
	p := NewPermutation(1<<40+3, 7, "wiki-zh", 1)
	fmt.Fprintln(&out, "K 2^40+3:", p.At(0), p.At(1), p.At(1<<40))
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
		t.Errorf("the order of blocks changed:\n%s", out.String())
	}
}
