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
	for _, cfg := range variants() {
		units := model.Units(cfg)
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
		if got := model.ParameterCount(cfg); got != count {
			t.Errorf("ParameterCount is %d, units hold %d", got, count)
		}
		if len(units) != 4 || units[0].Name != "embed" || units[2].Name != "block.1" ||
			units[3].Name != "head" {
			t.Errorf("units are %v", units)
		}
	}
}

// The published counts.
func TestParameterCount(t *testing.T) {
	for name, c := range map[string]struct {
		want uint64
		cfg  *pb.ModelConfig
	}{
		"Llama-2-7B": {6738415616, &pb.ModelConfig{Family: "llama", VocabSize: 32000, HiddenSize: 4096,
			IntermediateSize: 11008, Layers: 32, Heads: 32, KvHeads: 32, HeadDim: 128}},
		"Mistral-7B-v0.1": {7241732096, &pb.ModelConfig{Family: "mistral", VocabSize: 32000,
			HiddenSize: 4096, IntermediateSize: 14336, Layers: 32, Heads: 32, KvHeads: 8, HeadDim: 128}},
		"Qwen2.5-0.5B": {494032768, &pb.ModelConfig{Family: "qwen2", VocabSize: 151936, HiddenSize: 896,
			IntermediateSize: 4864, Layers: 24, Heads: 14, KvHeads: 2, HeadDim: 64, QkvBias: true,
			TiedEmbeddings: true}},
		"Qwen3-0.6B": {596049920, &pb.ModelConfig{Family: "qwen3", VocabSize: 151936, HiddenSize: 1024,
			IntermediateSize: 3072, Layers: 28, Heads: 16, KvHeads: 8, HeadDim: 128, QkNorm: true,
			TiedEmbeddings: true}},
	} {
		if n := model.ParameterCount(c.cfg); n != c.want {
			t.Errorf("%s has %d parameters, want %d", name, n, c.want)
		}
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
		"qkv_bias true":           func(c *pb.ModelConfig) { c.QkvBias = true },
		"qkv_bias false":          func(c *pb.ModelConfig) { c.Family = "qwen2" },
		"qk_norm true":            func(c *pb.ModelConfig) { c.Family, c.QkNorm = "mistral", true },
		"qk_norm false":           func(c *pb.ModelConfig) { c.Family = "qwen3" },
		"sliding_window":          func(c *pb.ModelConfig) { c.SlidingWindow = 4 },
		"rope_type":               scaled("yarn", 2, 1, 4, 8),
		"factor is 0.5":           scaled("linear", 0.5, 0, 0, 0),
		"factor is +Inf":          scaled("llama3", math.Inf(1), 1, 4, 8),
		"low_freq_factor":         scaled("llama3", 2, 0, 4, 8),
		"high_freq_factor":        scaled("llama3", 2, 4, 4, 8),
		"original_max_position":   scaled("llama3", 2, 1, 4, 0),
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

func scaled(kind string, factor, low, high float64, original uint32) func(*pb.ModelConfig) {
	return func(c *pb.ModelConfig) {
		c.RopeScaling = &pb.RopeScaling{Kind: kind, Factor: factor, LowFreqFactor: low,
			HighFreqFactor: high, OriginalMaxPositions: original}
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
		s := model.Shape{Batch: 1, SeqLen: 1100} // more rows than one chunk of the head
		cfg := tiny(tied)
		cfg.MaxPositions = 2048
		r := newRig(t, newRef(t), cfg, s)
		initRig(r, tied)
		in := r.Inputs()
		for i := range in.Tokens {
			in.Tokens[i], in.Pos[i], in.Targets[i] = int32(i*i%11), int32(i), int32(i%11)
		}
		logits, err := model.Logits(cfg, r.be, r.params, in.Tokens)
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
	s := model.Shape{Batch: 3, SeqLen: 5}
	for name, cfg := range variants() {
		for i := range 2 * len(pb.Recompute_name) {
			opt := model.Options{Recompute: pb.Recompute(i / 2)}
			if i%2 == 1 {
				opt.Precision = kernel.BF16
			}
			m, err := model.New(cfg, s, be, opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := model.MemoryBytes(cfg, s, opt); got != be.bytes {
				t.Errorf("%s: MemoryBytes is %d, allocated are %d", name, got, be.bytes)
			}
			m.Close()
			if be.bytes != 0 {
				t.Errorf("%s: Close left %d bytes", name, be.bytes)
			}
		}
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
	for name, want := range map[string]float32{"k_norm.weight": 1, "k_proj.bias": 0} {
		x := []float32{5, 5}
		model.InitParam(cfg, model.Param{Name: name, Shape: []int{2}}, 1, x)
		if !slices.Equal(x, []float32{want, want}) {
			t.Errorf("%s starts as %v", name, x)
		}
	}
}
