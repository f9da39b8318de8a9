package hf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// number is a float that Python reads as a float: 10000.0, never 10000.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	s := strconv.AppendFloat(nil, float64(n), 'g', -1, 64)
	if !bytes.ContainsAny(s, ".eEIN") {
		s = append(s, ".0"...)
	}
	return s, nil
}

// torchNames are the types of weights that an export may have, by their names in config.json.
var torchNames = map[safetensors.DType]string{
	safetensors.F32: "float32", safetensors.BF16: "bfloat16",
}

// EncodeConfig is the config.json of a model with weights of type dtype, F32 or BF16; ParseConfig
// reads it back to the same configuration, and every version of transformers that has the family
// loads it without a warning. It holds only keys that the family's class knows, with two spellings
// where versions 4 and 5 differ.
func EncodeConfig(cfg *pb.ModelConfig, dtype safetensors.DType) ([]byte, error) {
	f, ok := families[cfg.GetFamily()]
	if !ok {
		return nil, fmt.Errorf("encode config.json: model_type %q is not known", cfg.GetFamily())
	}
	torch, ok := torchNames[dtype]
	if !ok {
		return nil, fmt.Errorf("encode config.json: weights of type %s, want F32 or BF16", dtype)
	}
	keys := map[string]any{ // encoding/json sorts them
		"architectures":           []string{f.architecture},
		"attention_dropout":       number(0),
		"bos_token_id":            tokenJSON(cfg.BosId),
		"dtype":                   torch,
		"eos_token_id":            tokenJSON(cfg.EosId),
		"hidden_act":              "silu",
		"hidden_size":             cfg.HiddenSize,
		"initializer_range":       number(cfg.InitializerRange),
		"intermediate_size":       cfg.IntermediateSize,
		"max_position_embeddings": cfg.MaxPositions,
		"model_type":              cfg.Family,
		"num_attention_heads":     cfg.Heads,
		"num_hidden_layers":       cfg.Layers,
		"num_key_value_heads":     cfg.KvHeads,
		"rms_norm_eps":            number(cfg.RmsNormEps),
		"tie_word_embeddings":     cfg.TiedEmbeddings,
		"torch_dtype":             torch,
		"vocab_size":              cfg.VocabSize,
	}
	if cfg.Family != "qwen2" || cfg.HeadDim*cfg.Heads != cfg.HiddenSize {
		keys["head_dim"] = cfg.HeadDim // no field of qwen2's class, but its model reads it
	}
	for _, key := range f.exportKeys {
		keys[key] = familyKey(key, cfg)
	}
	ropeKeys(keys, cfg)
	data, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode config.json: %w", err)
	}
	return append(data, '\n'), nil
}

// familyKey is the value of a key that only some families have.
func familyKey(key string, cfg *pb.ModelConfig) any {
	switch key {
	case "sliding_window":
		if cfg.SlidingWindow == 0 {
			return nil
		}
		return cfg.SlidingWindow
	case "use_sliding_window":
		return cfg.SlidingWindow > 0
	case "max_window_layers": // the first layer that slides
		if cfg.SlidingWindow > 0 {
			return 0
		}
		return cfg.Layers
	}
	return false // the biases
}

// ropeKeys adds the rotary embedding in both forms: transformers before 5 reads rope_theta and
// rope_scaling, later ones rope_parameters.
func ropeKeys(keys map[string]any, cfg *pb.ModelConfig) {
	newer := map[string]any{"rope_type": "default", "rope_theta": number(cfg.RopeTheta)}
	keys["rope_theta"], keys["rope_parameters"] = number(cfg.RopeTheta), newer
	s := cfg.RopeScaling
	if s == nil {
		return
	}
	// Before 4.43 the kind is called type. Both names together are read by all and warn nobody.
	older := map[string]any{"rope_type": s.Kind, "type": s.Kind}
	for _, m := range []map[string]any{older, newer} {
		m["rope_type"], m["factor"] = s.Kind, number(s.Factor)
		if s.Kind == "llama3" {
			m["low_freq_factor"] = number(s.LowFreqFactor)
			m["high_freq_factor"] = number(s.HighFreqFactor)
			m["original_max_position_embeddings"] = s.OriginalMaxPositions
		}
	}
	keys["rope_scaling"] = older
}

func tokenJSON(id int32) *int32 {
	if id < 0 {
		return nil
	}
	return &id
}
