package hf_test

import (
	"math"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/worker/model"
)

const (
	embeddings = "model.embed_tokens.weight"
	head       = "lm_head.weight"
)

// read returns a whole tensor.
func read(t *testing.T, g *hf.Grown, name string, rows int) []float32 {
	t.Helper()
	dst := make([]float32, rows*int(g.Config().GetHiddenSize()))
	if err := g.Read(ctx, name, 0, len(dst), dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

// growth makes 4 tokens behind the first 10 of 11 rows: the last row of the base is padding.
func growth(input, output hf.Init) hf.Growth {
	return hf.Growth{First: 10, New: [][]int32{{3}, {1, 2, 2, 9}, {}, {0, 5}}, PadTo: 8,
		Input: input, Output: output, Seed: 5}
}

func TestGrownRows(t *testing.T) {
	f := load(t, write(t, false))
	g, err := f.Grow(growth(hf.MeanSubtokens, hf.MeanAll))
	if err != nil {
		t.Fatal(err)
	}
	const rows, width = 16, 12
	if got := g.Config().GetVocabSize(); got != rows {
		t.Fatalf("%d rows, want %d", got, rows)
	}
	for name, mean := range map[string]bool{embeddings: false, head: true} {
		base := make([]float32, 10*width)
		if err := f.Read(ctx, name, 0, len(base), base); err != nil {
			t.Fatal(err)
		}
		got := read(t, g, name, rows)
		if !slices.Equal(got[:len(base)], base) {
			t.Errorf("%s: rows of the base changed", name)
		}
		for r := 10; r < rows; r++ {
			all := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
			of := all
			if fresh := growth("", "").New; !mean && r-10 < len(fresh) && len(fresh[r-10]) > 0 {
				of = fresh[r-10]
			}
			for c := range width {
				want := 0.0
				for _, id := range of {
					want += float64(base[int(id)*width+c]) / float64(len(of))
				}
				if x := float64(got[r*width+c]); math.Abs(x-want) > 1e-6 {
					t.Errorf("%s row %d column %d is %v, want %v", name, r, c, x, want)
				}
			}
		}
	}
}

// Ranks read any ranges, aligned to nothing.
func TestGrownRowsAreTheSameBitsForEveryCut(t *testing.T) {
	for _, init := range hf.Inits() {
		f := load(t, write(t, true))
		g, err := f.Grow(growth(init, init))
		if err != nil {
			t.Fatal(err)
		}
		whole := read(t, g, embeddings, 16)
		for cut := 1; cut < len(whole); cut += 7 {
			a, b := make([]float32, cut), make([]float32, len(whole)-cut)
			again, err := f.Grow(growth(init, init))
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Read(ctx, embeddings, cut, len(whole), b); err != nil {
				t.Fatal(err)
			}
			if err := again.Read(ctx, embeddings, 0, cut, a); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(append(a, b...), whole) {
				t.Fatalf("%s: cut at %d makes other values", init, cut)
			}
		}
	}
}

// With enough rows the new ones have the columns' mean and deviation that were asked for.
func TestRandomRowsHaveTheirDistribution(t *testing.T) {
	f := load(t, write(t, false))
	const fresh, width = 4000, 12
	base := make([]float32, 10*width)
	if err := f.Read(ctx, embeddings, 0, len(base), base); err != nil {
		t.Fatal(err)
	}
	for _, init := range []hf.Init{hf.Gaussian, hf.Random} {
		g, err := f.Grow(hf.Growth{First: 10, New: make([][]int32, fresh), Input: init, Output: init})
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, g, embeddings, 10+fresh)[len(base):]
		for c := range width {
			mean, deviation := moments(got, c, width)
			wantMean, want := 0.0, float64(g.Config().GetInitializerRange())
			if init == hf.Gaussian {
				wantMean, want = moments(base, c, width)
			}
			if math.Abs(mean-wantMean) > 5*want/math.Sqrt(fresh) || math.Abs(deviation/want-1) > 0.06 {
				t.Errorf("%s column %d: mean %v, deviation %v; want %v and %v", init, c, mean,
					deviation, wantMean, want)
			}
		}
	}
}

func moments(x []float32, c, width int) (mean, deviation float64) {
	n := float64(len(x) / width)
	for i := c; i < len(x); i += width {
		mean += float64(x[i]) / n
	}
	for i := c; i < len(x); i += width {
		deviation += (float64(x[i]) - mean) * (float64(x[i]) - mean) / n
	}
	return mean, math.Sqrt(deviation)
}

func TestAGrownFolderLoads(t *testing.T) {
	f := load(t, write(t, false))
	g, err := f.Grow(growth(hf.MeanSubtokens, hf.MeanSubtokens))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := hf.Write(ctx, opener(t), dir, g.Config(), g.Sources(), nil); err != nil {
		t.Fatal(err)
	}
	back := load(t, dir)
	for _, u := range model.Units(g.Config()) {
		for _, p := range u.Params {
			a, b := make([]float32, p.Len()), make([]float32, p.Len())
			if err := g.Read(ctx, p.Name, 0, p.Len(), a); err != nil {
				t.Fatal(err)
			}
			if err := back.Read(ctx, p.Name, 0, p.Len(), b); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a, b) {
				t.Errorf("%s came back other than it was", p.Name)
			}
		}
	}
}

func TestImpossibleGrowthIsRefused(t *testing.T) {
	f := load(t, write(t, false))
	for want, g := range map[string]hf.Growth{
		"the base tokenizer has 12 tokens": {First: 12},
		"made of token 10":                 {First: 10, New: [][]int32{{10}}},
		"pad_to is -1":                     {First: 10, PadTo: -1},
	} {
		_, err := f.Grow(g)
		refuse(t, err, want)
	}
	_, err := hf.ParseInit("zeros")
	refuse(t, err, "mean_subtokens")
}
