package train

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// The factors of the reproducibility matrix. A digest is a function of the kernels' class, the
// precision and the model alone: these are the key. The other factors must not show.
var (
	matrixClasses    = cpu.Classes()
	matrixModels     = []string{"llama", "qwen2", "qwen3"}
	matrixPrecisions = []pb.Precision{pb.Precision_FP32, pb.Precision_BF16}
	matrixRecomputes = []pb.Recompute{pb.Recompute_NONE, pb.Recompute_ATTENTION, pb.Recompute_FULL}
	matrixShardings  = []pb.Sharding{pb.Sharding_ZERO1, pb.Sharding_ZERO2, pb.Sharding_ZERO3}
	matrixWorlds     = []int{1, 2, 3, 4}
	matrixThreads    = []int{1, 2, 3}
)

type key struct {
	isa       string
	precision pb.Precision
	model     string
}

type cell struct {
	key
	threads, world int
	sharding       pb.Sharding
	recompute      pb.Recompute
}

// matrix lists cells: all of them, or so many that each pair of values of two factors, the key
// being one, is in some cell.
func matrix(all bool) []cell {
	var keys []key
	for _, isa := range matrixClasses {
		for _, precision := range matrixPrecisions {
			for _, model := range matrixModels {
				keys = append(keys, key{isa, precision, model})
			}
		}
	}
	rows := everything([]int{len(keys), len(matrixThreads), len(matrixWorlds), len(matrixShardings),
		len(matrixRecomputes)})
	if !all {
		rows = pairwise(rows)
	}
	var cells []cell
	for _, r := range rows {
		cells = append(cells, cell{keys[r[0]], matrixThreads[r[1]], matrixWorlds[r[2]],
			matrixShardings[r[3]], matrixRecomputes[r[4]]})
	}
	return cells
}

// everything is the product of the factors, as indices.
func everything(sizes []int) [][]int {
	rows := [][]int{{}}
	for _, n := range sizes {
		var longer [][]int
		for _, r := range rows {
			for v := range n {
				longer = append(longer, append(slices.Clone(r), v))
			}
		}
		rows = longer
	}
	return rows
}

type pair struct{ factorA, a, factorB, b int }

func pairsOf(row []int) (out []pair) {
	for i, a := range row {
		for j, b := range row[:i] {
			out = append(out, pair{i, a, j, b})
		}
	}
	return out
}

// pairwise picks rows, each time one with most pairs that no row picked before has.
func pairwise(rows [][]int) (picked [][]int) {
	missing := map[pair]bool{}
	for _, r := range rows {
		for _, p := range pairsOf(r) {
			missing[p] = true
		}
	}
	for len(missing) > 0 {
		var best []int
		most := 0
		for _, r := range rows {
			n := 0
			for _, p := range pairsOf(r) {
				if missing[p] {
					n++
				}
			}
			if n > most {
				best, most = r, n
			}
		}
		for _, p := range pairsOf(best) {
			delete(missing, p)
		}
		picked = append(picked, best)
	}
	return picked
}

// TestI3_ReproducibilityMatrix trains the same run in cells of the matrix, real ranks over real
// sockets: one curve and one logical digest a key. BANYAN_MATRIX=all runs every cell (make matrix).
func TestI3_ReproducibilityMatrix(t *testing.T) {
	s := shape{globalBatch: 12, microBatch: 1, logicalShards: 8, steps: 2, every: 2, lr: 1e-2}
	fixtures := map[string]*fixture{}
	for _, model := range matrixModels {
		s.family, s.tied = model, model != "qwen2"
		fixtures[model] = newFixture(t, s)
	}
	want := map[key]string{}
	cells := matrix(os.Getenv("BANYAN_MATRIX") == "all")
	for _, c := range cells {
		g := &generation{number: 1, world: c.world, threads: c.threads, isa: c.isa,
			f: fixtures[c.model].with(t, func(train *pb.Train) {
				train.Sharding, train.Precision, train.Recompute = c.sharding, c.precision, c.recompute
			})}
		g.run(t)
		var got strings.Builder
		for _, r := range g.records {
			fmt.Fprintln(&got, line(r))
		}
		fmt.Fprintln(&got, "weights", g.digest(t))
		if want[c.key] == "" {
			want[c.key] = got.String()
		} else if got.String() != want[c.key] {
			t.Errorf("%+v:\n%swant\n%s", c, got.String(), want[c.key])
		}
	}
	seen := map[string]key{}
	for k, digest := range want {
		if other, ok := seen[digest]; ok {
			t.Errorf("%+v and %+v have one digest: the key does nothing", k, other)
		}
		seen[digest] = k
	}
	t.Logf("%d cells, %d keys", len(cells), len(want))
}

func TestPairwiseCoversEveryPair(t *testing.T) {
	rows := everything([]int{5, 3, 4, 3, 3})
	picked := pairwise(rows)
	have := map[pair]bool{}
	for _, r := range picked {
		for _, p := range pairsOf(r) {
			have[p] = true
		}
	}
	for _, r := range rows {
		for _, p := range pairsOf(r) {
			if !have[p] {
				t.Fatalf("no row has %+v", p)
			}
		}
	}
	if len(rows) != 540 || len(picked) > 25 {
		t.Errorf("%d of %d rows", len(picked), len(rows))
	}
}
