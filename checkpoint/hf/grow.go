package hf

import (
	"context"
	"fmt"
	"math"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
	"google.golang.org/protobuf/proto"
)

// Init says what the new rows of a table start from.
type Init string

// The ways to start a new row.
const (
	MeanSubtokens Init = "mean_subtokens" // mean of the base rows of what its text was before
	MeanAll       Init = "mean_all"       // mean of all base rows
	Gaussian      Init = "gaussian"       // normal, with the mean and deviation of each base column
	Random        Init = "random"         // normal around 0, with the initializer_range
)

// Inits lists them, the default first.
func Inits() []Init { return []Init{MeanSubtokens, MeanAll, Gaussian, Random} }

// ParseInit reads one; "" is the default.
func ParseInit(name string) (Init, error) {
	var names []string
	for _, i := range Inits() {
		if name == "" || name == string(i) {
			return i, nil
		}
		names = append(names, string(i))
	}
	return "", fmt.Errorf("%q: want %s", name, strings.Join(names, ", "))
}

// Growth is a vocabulary that grew behind its first tokens.
//
//	rows   0 .. first-1   first .. first+len(new)-1   .. rows-1
//	       the base's     new tokens                  padding, the mean of all base rows
type Growth struct {
	First  int       // tokens of the base; its tables may have more rows, which are padding
	New    [][]int32 // by new token: the base tokens of its text
	PadTo  int       // the number of rows becomes a multiple of it; 0: no padding
	Input  Init      // of the embedding
	Output Init      // of the head, unless the two are tied
	Seed   uint64    // of gaussian and random
}

// rows is the number of rows of the grown tables.
func (g *Growth) rows() int {
	return PaddedRows(g.First+len(g.New), g.PadTo)
}

// PaddedRows is the number of rows that so many tokens get: a multiple of padTo.
func PaddedRows(tokens, padTo int) int {
	padTo = max(padTo, 1)
	return (tokens + padTo - 1) / padTo * padTo
}

func (g *Growth) check(base int) error {
	switch {
	case g.First < 1 || g.First > base:
		return fmt.Errorf("the base tokenizer has %d tokens, its model's tables %d rows", g.First, base)
	case g.PadTo < 0 || g.PadTo > 1<<20:
		return fmt.Errorf("pad_to is %d, want 0..%d", g.PadTo, 1<<20)
	}
	for i, tokens := range g.New {
		for _, id := range tokens {
			if id < 0 || int(id) >= g.First {
				return fmt.Errorf("new token %d is made of token %d, the base has %d", g.First+i, id,
					g.First)
			}
		}
	}
	return nil
}

// Grown is a folder whose tables have grown. It reads like the folder. One goroutine at a time.
type Grown struct {
	folder *Folder
	growth Growth
	cfg    *pb.ModelConfig
	table  *table // the last one that was read
}

// Grow shows the folder as it is with a larger vocabulary. It reads no weights yet.
func (f *Folder) Grow(g Growth) (*Grown, error) {
	if err := g.check(int(f.cfg.GetVocabSize())); err != nil {
		return nil, fmt.Errorf("grow vocabulary of %s: %w", f.uri, err)
	}
	cfg := proto.CloneOf(f.cfg)
	cfg.VocabSize = uint32(g.rows())
	return &Grown{folder: f, growth: g, cfg: cfg}, nil
}

// Config is the configuration of the grown model. The caller must not change it.
func (g *Grown) Config() *pb.ModelConfig { return g.cfg }

// Read is Folder.Read for the grown model. The values are a function of the base, the growth and
// the place alone: any cut gives the same bits.
func (g *Grown) Read(ctx context.Context, name string, lo, hi int, dst []float32) error {
	init, grows := g.initOf(name)
	if !grows {
		return g.folder.Read(ctx, name, lo, hi, dst)
	}
	width := int(g.cfg.GetHiddenSize())
	if lo < 0 || hi < lo || hi > width*g.growth.rows() || len(dst) != hi-lo {
		return fmt.Errorf("read tensor %s: elements [%d,%d) of %d into %d", name, lo, hi,
			width*g.growth.rows(), len(dst))
	}
	old := min(hi, max(lo, width*g.growth.First))
	if lo < old {
		if err := g.folder.Read(ctx, name, lo, old, dst[:old-lo]); err != nil {
			return err
		}
	}
	if old == hi {
		return nil
	}
	if g.table == nil || g.table.name != name {
		t, err := g.readTable(ctx, name, init)
		if err != nil {
			return err
		}
		g.table = t
	}
	row := make([]float32, width)
	for at := old; at < hi; {
		r := at / width
		g.table.row(r, row)
		at += copy(dst[at-lo:], row[at-r*width:])
	}
	return nil
}

// Sources are the tensors of the grown model, to be written.
func (g *Grown) Sources() []TensorSource {
	var out []TensorSource
	for _, u := range model.Units(g.cfg) {
		for _, p := range u.Params {
			out = append(out, TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(ctx context.Context, dst []float32) error {
					return g.Read(ctx, p.Name, 0, len(dst), dst)
				}})
		}
	}
	return out
}

func (g *Grown) initOf(name string) (Init, bool) {
	switch name {
	case embedding:
		return g.growth.Input, true
	case headCopy:
		return g.growth.Output, true
	}
	return "", false
}

// table makes the new rows of one tensor. It holds the base's rows.
type table struct {
	name   string
	init   Init
	growth *Growth
	width  int
	base   []float32 // [First, width]
	mean   []float64 // of each column
	spread []float64 // standard deviation of each column
	random model.Normals
	scale  float64 // initializer_range
}

func (g *Grown) readTable(ctx context.Context, name string, init Init) (*table, error) {
	t := &table{name: name, init: init, growth: &g.growth, width: int(g.cfg.GetHiddenSize()),
		random: model.NormalsOf(name, g.growth.Seed), scale: g.cfg.GetInitializerRange()}
	t.base = make([]float32, g.growth.First*t.width)
	if err := g.folder.Read(ctx, name, 0, len(t.base), t.base); err != nil {
		return nil, err
	}
	t.mean, t.spread = make([]float64, t.width), make([]float64, t.width)
	rows := float64(g.growth.First)
	for i, x := range t.base {
		t.mean[i%t.width] += float64(x)
	}
	for c := range t.mean {
		t.mean[c] /= rows
	}
	for i, x := range t.base {
		d := float64(x) - t.mean[i%t.width]
		t.spread[i%t.width] += float64(d * d)
	}
	for c := range t.spread {
		t.spread[c] = math.Sqrt(t.spread[c] / rows)
	}
	return t, nil
}

// row fills dst with row r, which is not the base's.
func (t *table) row(r int, dst []float32) {
	token, init := r-t.growth.First, t.init
	if token >= len(t.growth.New) || init == MeanSubtokens && len(t.growth.New[token]) == 0 {
		init = MeanAll
	}
	switch init {
	case MeanSubtokens:
		t.meanOf(t.growth.New[token], dst)
	case Gaussian:
		t.random.Row(r, dst)
		for c := range dst {
			dst[c] = float32(t.mean[c] + float64(t.spread[c]*float64(dst[c])))
		}
	case Random:
		t.random.Row(r, dst)
		for c := range dst {
			dst[c] = float32(t.scale * float64(dst[c]))
		}
	default:
		for c := range dst {
			dst[c] = float32(t.mean[c])
		}
	}
}

// meanOf is the mean of base rows, summed in their order.
func (t *table) meanOf(tokens []int32, dst []float32) {
	for c := range dst {
		sum := 0.0
		for _, id := range tokens {
			sum += float64(t.base[int(id)*t.width+c])
		}
		dst[c] = float32(sum / float64(len(tokens)))
	}
}
