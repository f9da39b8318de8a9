package hf

import (
	"maps"
	"slices"
)

// family is what a model_type implies: the defaults of keys that are absent, and the parts of the
// mathematics that no key names. The values are those of transformers' configuration classes,
// where versions 4 and 5 agree.
type family struct {
	architecture string
	maxPositions uint32
	kvHeads      uint32 // num_key_value_heads when absent; 0: as many as heads
	headDim      uint32 // head_dim when absent; 0: hidden_size / num_attention_heads
	bos, eos     int32  // when absent; -1: none
	qkvBias      bool
	qkNorm       bool

	sliding    windowRule
	fixed      []fixedKey // beyond those of all families
	exportKeys []string   // keys of this family's class that not every family has
}

// fixedKey changes the mathematics; the model computes only these values of it.
type fixedKey struct {
	key    string
	accept []string // JSON
	fix    string
}

// noBias is what a family without optional biases accepts.
func noBias(key string) fixedKey {
	return fixedKey{key, []string{"false"}, "biases of the output projection and of the MLP are not " +
		"computed; choose a model without"}
}

var families = map[string]family{
	"llama": {
		architecture: "LlamaForCausalLM", maxPositions: 2048, bos: 1, eos: 2, sliding: windowNone,
		fixed: []fixedKey{noBias("attention_bias"), noBias("mlp_bias"),
			{"rope_interleaved", []string{"false"}, "interleaved rotary pairs are not computed"},
			{"is_llama_config", []string{"true"}, "the folder must be in transformers' layout"}},
		exportKeys: []string{"attention_bias", "mlp_bias"},
	},
	"mistral": {
		architecture: "MistralForCausalLM", maxPositions: 131072, kvHeads: 8, bos: 1, eos: 2,
		sliding: windowAlways, fixed: []fixedKey{noBias("attention_bias"), noBias("mlp_bias")},
		exportKeys: []string{"sliding_window"},
	},
	"qwen2": {
		architecture: "Qwen2ForCausalLM", maxPositions: 32768, kvHeads: 32, bos: -1, eos: -1,
		qkvBias: true, sliding: windowGated,
		fixed: []fixedKey{{"attention_bias", []string{"true"},
			"qwen2 always has biases of q, k and v, and no other"}, noBias("mlp_bias"),
			{"use_mrope", []string{"false"}, "multimodal rotary positions are not computed"}},
		exportKeys: []string{"max_window_layers", "sliding_window", "use_sliding_window"},
	},
	"qwen3": {
		architecture: "Qwen3ForCausalLM", maxPositions: 32768, kvHeads: 32, headDim: 128, bos: -1,
		eos: -1, qkNorm: true, sliding: windowGated,
		fixed: []fixedKey{noBias("attention_bias"), noBias("mlp_bias")},
		exportKeys: []string{"attention_bias", "max_window_layers", "sliding_window",
			"use_sliding_window"},
	},
}

// familyNames are the families in the order of their names.
func familyNames() []string { return slices.Sorted(maps.Keys(families)) }
