package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
	"google.golang.org/protobuf/proto"
)

func TestUnitsLieEndToEnd(t *testing.T) {
	for _, tied := range []bool{false, true} {
		units := model.Units(tiny(tied))
		var count uint64
		for _, u := range units {
			at := 0
			for _, p := range u.Params {
				if p.Offset != at {
					t.Errorf("%s starts at %d, want %d", p.Name, p.Offset, at)
				}
				if p.Decay != (len(p.Shape) == 2) {
					t.Errorf("%s: decay is %v", p.Name, p.Decay)
				}
				at += p.Len()
			}
			if u.Size%model.Chunk != 0 || u.Size < at || u.Size-at >= model.Chunk {
				t.Errorf("%s has size %d for %d elements", u.Name, u.Size, at)
			}
			count += uint64(at)
		}
		if got := model.ParameterCount(tiny(tied)); got != count {
			t.Errorf("ParameterCount is %d, units hold %d", got, count)
		}
		if len(units) != 4 || units[0].Name != "embed" || units[2].Name != "block.1" ||
			units[3].Name != "head" {
			t.Errorf("units are %v", units)
		}
	}
}

// The published count of Llama-2-7B: 6,738,415,616.
func TestParameterCountOfLlama2(t *testing.T) {
	cfg := &pb.ModelConfig{Family: "llama", VocabSize: 32000, HiddenSize: 4096,
		IntermediateSize: 11008, Layers: 32, Heads: 32, KvHeads: 32, HeadDim: 128}
	if n := model.ParameterCount(cfg); n != 6738415616 {
		t.Errorf("have %d parameters", n)
	}
}

func TestCheckNamesTheField(t *testing.T) {
	if err := model.Check(tiny(false)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*pb.ModelConfig){
		"model_type":              func(c *pb.ModelConfig) { c.Family = "gpt" },
		"vocab_size":              func(c *pb.ModelConfig) { c.VocabSize = 0 },
		"hidden_size":             func(c *pb.ModelConfig) { c.HiddenSize = math.MaxUint32 },
		"num_hidden_layers":       func(c *pb.ModelConfig) { c.Layers = 1 << 20 },
		"num_key_value_heads":     func(c *pb.ModelConfig) { c.KvHeads = 3 },
		"head_dim":                func(c *pb.ModelConfig) { c.HeadDim = 5 },
		"at most":                 func(c *pb.ModelConfig) { c.HeadDim = 1 << 24 },
		"rope_theta":              func(c *pb.ModelConfig) { c.RopeTheta = math.NaN() },
		"rms_norm_eps":            func(c *pb.ModelConfig) { c.RmsNormEps = math.Inf(1) },
		"initializer_range":       func(c *pb.ModelConfig) { c.InitializerRange = -1 },
		"max_position_embeddings": func(c *pb.ModelConfig) { c.MaxPositions = 0 },
		"multiple of num_attent":  func(c *pb.ModelConfig) { c.HiddenSize = 13 },
	} {
		cfg := proto.Clone(tiny(false)).(*pb.ModelConfig)
		change(cfg)
		if err := model.Check(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one that names %s", err, want)
		}
	}
	if model.Check(nil) == nil {
		t.Error("no configuration passed")
	}
}

func TestNewRefusesShapes(t *testing.T) {
	for _, s := range []model.Shape{{0, 4}, {1, 0}, {1, 513}, {math.MaxInt32, 2}} {
		if m, err := model.New(tiny(false), s, newRef(t), model.Options{}); err == nil {
			m.Close()
			t.Errorf("shape %v passed", s)
		}
	}
}

// I13: inputs index memory; a bad one is an error, and names its row.
func TestI13_InputsAreChecked(t *testing.T) {
	s := model.Shape{Batch: 2, SeqLen: 4}
	for want, change := range map[string]func(model.Inputs){
		"row 0: token 11":                 func(in model.Inputs) { in.Tokens[0] = 11 },
		"row 7: token -1":                 func(in model.Inputs) { in.Tokens[7] = -1 },
		"row 3: target -2":                func(in model.Inputs) { in.Targets[3] = -2 },
		"row 3: target 11":                func(in model.Inputs) { in.Targets[3] = 11 },
		"row 1: position 4":               func(in model.Inputs) { in.Pos[1] = 4 },
		"row 1: position -1":              func(in model.Inputs) { in.Pos[1] = -1 },
		"row 4: first visible position 1": func(in model.Inputs) { in.First[4] = 1 },
	} {
		r := newRig(t, newRef(t), tiny(false), s)
		fillInputs(r.Inputs(), s, 11)
		change(r.Inputs())
		err := r.Forward(0, r.pick(r.params, 0))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// Calls out of order would read what is not there yet.
func TestOrderIsEnforced(t *testing.T) {
	s := model.Shape{Batch: 1, SeqLen: 4}
	r := newRig(t, newRef(t), tiny(true), s)
	fillInputs(r.Inputs(), s, 11)
	p, g, last := r.params, r.grads, 3
	refuse := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s passed", what)
		}
	}
	refuse("block before embedding", r.Forward(1, r.pick(p, 1)))
	refuse("loss before forward", r.Loss(r.pick(p, last)))
	r.forward(t)
	refuse("forward of the last unit", r.Forward(last, r.pick(p, last)))
	refuse("backward of a block first", r.Backward(2, r.pick(p, 2), r.pick(g, 2)))
	refuse("head without the embedding", r.Backward(last, p[last:], g[last:]))
	refuse("gradient of another size", r.Backward(last, r.pick(p, last),
		[]kernel.Tensor{g[last], g[last].Slice(0, 16)}))
	for u := last; u > 0; u-- {
		if err := r.Backward(u, r.pick(p, u), r.pick(g, u)); err != nil {
			t.Fatal(err)
		}
	}
	refuse("block twice", r.Backward(1, r.pick(p, 1), r.pick(g, 1)))
	refuse("loss after backward", r.Loss(r.pick(p, last)))
	refuse("another buffer for the tied embedding", r.Backward(0, r.pick(p, 0), r.alloc(t)[:1]))
	if err := r.Backward(0, r.pick(p, 0), r.pick(g, 0)); err != nil {
		t.Error(err)
	}
	r.forward(t) // starts over
}

func TestLogitsIsTheForwardPass(t *testing.T) {
	for _, tied := range []bool{false, true} {
		s := model.Shape{Batch: 1, SeqLen: 300} // more rows than one chunk of the head
		r := newRig(t, newRef(t), tiny(tied), s)
		initRig(r, tied)
		in := r.Inputs()
		for i := range in.Tokens {
			in.Tokens[i], in.Pos[i], in.Targets[i] = int32(i*i%11), int32(i), int32(i%11)
		}
		logits, err := model.Logits(tiny(tied), r.be, r.params, in.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		r.forward(t)
		if err := r.Loss(r.pick(r.params, 3)); err != nil {
			t.Fatal(err)
		}
		for i, target := range in.Targets {
			var z float64
			for _, l := range logits[i*11 : i*11+11] {
				z += math.Exp(float64(l))
			}
			want := math.Log(z) - float64(logits[i*11+int(target)])
			if got := float64(r.Losses()[i]); math.Abs(got-want) > 1e-5 {
				t.Fatalf("row %d: loss %v, from logits %v", i, got, want)
			}
		}
	}
	if _, err := model.Logits(tiny(false), newRef(t), nil, []int32{1}); err == nil {
		t.Error("no parameters passed")
	}
}

func TestMemoryBytesIsWhatNewAllocates(t *testing.T) {
	be := &counting{Backend: newRef(t)}
	cfg, s := tiny(true), model.Shape{Batch: 3, SeqLen: 5}
	m, err := model.New(cfg, s, be, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := model.MemoryBytes(cfg, s, model.Options{}); got != be.bytes {
		t.Errorf("MemoryBytes is %d, allocated are %d", got, be.bytes)
	}
	m.Close()
	if be.bytes != 0 {
		t.Errorf("Close left %d bytes", be.bytes)
	}
}

// counting counts the memory of a backend.
type counting struct {
	kernel.Backend
	bytes int64
}

func (c *counting) Alloc(n int, dt kernel.DType) (kernel.Tensor, error) {
	t, err := c.Backend.Alloc(n, dt)
	c.bytes += int64(t.Len * dt.Size())
	return t, err
}

func (c *counting) Free(t kernel.Tensor) {
	c.bytes -= int64(t.Len * t.DType.Size())
	c.Backend.Free(t)
}

func TestInitParam(t *testing.T) {
	cfg := tiny(false)
	draw := func(name string, seed uint64, n int) []float32 {
		x := make([]float32, n)
		model.InitParam(cfg, model.Param{Name: name, Shape: []int{n, 1}}, seed, x)
		return x
	}
	const n = 100_001 // odd: half of the last pair is used
	x := draw("a", 1, n)
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	if mean := sum / n; math.Abs(mean) > 0.004 {
		t.Errorf("mean is %v", mean)
	}
	if std := math.Sqrt(squares / n); math.Abs(std-cfg.InitializerRange) > 0.003 {
		t.Errorf("standard deviation is %v, want %v", std, cfg.InitializerRange)
	}
	if !slices.Equal(x, draw("a", 1, n)) {
		t.Error("not deterministic")
	}
	if slices.Equal(x[:9], draw("b", 1, 9)) || slices.Equal(x[:9], draw("a", 2, 9)) {
		t.Error("name or seed does not matter")
	}
	norm := make([]float32, 3)
	model.InitParam(cfg, model.Param{Name: "n", Shape: []int{3}}, 1, norm)
	if !slices.Equal(norm, []float32{1, 1, 1}) {
		t.Errorf("norm starts as %v", norm)
	}
}
