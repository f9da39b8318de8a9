package model

import (
	"fmt"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// sizes are the dimensions of a configuration, by the legend of doc.go.
type sizes struct {
	layers, c, h, k, d, f, v int
	tied, qkvBias, qkNorm    bool
	window                   int // keys that a query sees; 0: all before it
	eps                      float32
}

func dims(cfg *pb.ModelConfig) sizes {
	return sizes{
		layers: int(cfg.Layers), c: int(cfg.HiddenSize), h: int(cfg.Heads), k: int(cfg.KvHeads),
		d: int(cfg.HeadDim), f: int(cfg.IntermediateSize), v: int(cfg.VocabSize),
		tied: cfg.TiedEmbeddings, qkvBias: cfg.QkvBias, qkNorm: cfg.QkNorm,
		window: int(cfg.SlidingWindow), eps: float32(cfg.RmsNormEps),
	}
}

// The largest sizes that are believed. They keep every product below 2^62.
const (
	maxSize   = 1 << 24
	maxLayers = 1 << 12
)

// Check reports what is wrong with a configuration: the field by its config.json name, its value,
// and what is wanted. Every other function here needs a configuration that passed.
func Check(cfg *pb.ModelConfig) error {
	if cfg == nil {
		return fmt.Errorf("check model: no configuration")
	}
	if err := checkFamily(cfg); err != nil {
		return fmt.Errorf("check model: %w", err)
	}
	for _, f := range []struct {
		name string
		n    uint32
		most uint32
	}{
		{"vocab_size", cfg.VocabSize, maxSize},
		{"hidden_size", cfg.HiddenSize, maxSize},
		{"intermediate_size", cfg.IntermediateSize, maxSize},
		{"num_hidden_layers", cfg.Layers, maxLayers},
		{"num_attention_heads", cfg.Heads, maxSize},
		{"num_key_value_heads", cfg.KvHeads, maxSize},
		{"head_dim", cfg.HeadDim, maxSize},
		{"max_position_embeddings", cfg.MaxPositions, math.MaxInt32},
	} {
		if f.n == 0 || f.n > f.most {
			return fmt.Errorf("check model: %s is %d, want 1 to %d", f.name, f.n, f.most)
		}
	}
	if cfg.Heads%cfg.KvHeads != 0 {
		return fmt.Errorf("check model: num_attention_heads is %d, want a multiple of "+
			"num_key_value_heads, %d", cfg.Heads, cfg.KvHeads)
	}
	// Not needed here, but transformers refuses it.
	if cfg.Family == "llama" && cfg.HiddenSize%cfg.Heads != 0 {
		return fmt.Errorf("check model: hidden_size is %d, want a multiple of num_attention_heads, %d",
			cfg.HiddenSize, cfg.Heads)
	}
	if cfg.HeadDim%2 != 0 || uint64(cfg.HeadDim)*uint64(cfg.Heads) > maxSize {
		return fmt.Errorf("check model: head_dim is %d, want it even, and at most %d over all %d heads",
			cfg.HeadDim, maxSize, cfg.Heads)
	}
	for _, f := range []struct {
		name string
		x    float64
		ok   bool
	}{
		{"rope_theta", cfg.RopeTheta, cfg.RopeTheta >= 1},
		{"rms_norm_eps", cfg.RmsNormEps, cfg.RmsNormEps > 0},
		{"initializer_range", cfg.InitializerRange, cfg.InitializerRange >= 0},
	} {
		if !f.ok || math.IsInf(f.x, 0) {
			return fmt.Errorf("check model: %s is %v, want a finite positive number", f.name, f.x)
		}
	}
	if err := checkScaling(cfg.RopeScaling); err != nil {
		return fmt.Errorf("check model: rope_scaling: %w", err)
	}
	return nil
}
