package hf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// ignored keys do not change the mathematics of training: bookkeeping, generation, serving.
var ignored = []string{
	"_attn_implementation", "_commit_hash", "_name_or_path", "architectures",
	"attn_implementation", "dtype", "id2label", "label2id", "max_sequence_length",
	"output_attentions", "output_hidden_states", "pad_token_id", "problem_type", "return_dict",
	"tokenizer_class", "torch_dtype", "transformers.js_config", "transformers_version",
	"unsloth_fixed", "unsloth_version", "use_cache",
}

// fixed keys, of every family.
var fixed = []fixedKey{
	{"hidden_act", []string{`"silu"`, `"swish"`}, "other activations are not computed"},
	{"attention_dropout", []string{"0.0", "0", "null"}, "set it to 0.0 to train without dropout"},
	{"chunk_size_feed_forward", []string{"0"}, "remove it"},
	{"is_encoder_decoder", []string{"false"}, "only decoders are computed"},
	{"pretraining_tp", []string{"1", "null"}, "set it to 1: the weights are the same"},
	{"quantization_config", []string{"null"}, "load the model with transformers, dequantize it, and " +
		"save it in bf16"},
}

// ParseConfig reads a config.json of any family, as transformers 4 or 5 writes it. All its
// problems come in one error, each with its key. Absent optional keys take the defaults of
// transformers' class for the model_type.
func ParseConfig(data []byte) (*pb.ModelConfig, error) {
	r, err := newConfigReader(data)
	if err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	name, f, err := r.family()
	if err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	r.fixed(fixed)
	r.fixed(f.fixed)
	cfg := &pb.ModelConfig{
		Family:           name,
		VocabSize:        r.size("vocab_size", 0),
		HiddenSize:       r.size("hidden_size", 0),
		IntermediateSize: r.size("intermediate_size", 0),
		Layers:           r.size("num_hidden_layers", 0),
		Heads:            r.size("num_attention_heads", 0),
		MaxPositions:     r.size("max_position_embeddings", f.maxPositions),
		RmsNormEps:       r.number("rms_norm_eps", 1e-6),
		InitializerRange: r.number("initializer_range", 0.02),
		TiedEmbeddings:   r.flag("tie_word_embeddings"),
		BosId:            r.token("bos_token_id", f.bos),
		EosId:            r.token("eos_token_id", f.eos),
		QkvBias:          f.qkvBias,
		QkNorm:           f.qkNorm,
	}
	cfg.RopeTheta, cfg.RopeScaling = r.rope()
	cfg.SlidingWindow = r.window(f.sliding, cfg.Layers)
	r.heads(cfg, f)
	if err := r.finish(ignored); err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	if err := model.Check(cfg); err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	return cfg, nil
}

// family takes model_type, which says what the other keys mean.
func (r *configReader) family() (string, family, error) {
	raw, ok := r.take("model_type")
	if !ok {
		return "", family{}, fmt.Errorf("key \"model_type\" is missing; want one of %s",
			strings.Join(familyNames(), ", "))
	}
	var name string
	if err := json.Unmarshal(raw, &name); err == nil {
		if f, ok := families[name]; ok {
			return name, f, nil
		}
	}
	return "", family{}, fmt.Errorf("key \"model_type\" is %.200s, which this version cannot "+
		"compute; it supports %s (dense models only)", raw, strings.Join(familyNames(), ", "))
}

// fixed takes keys of which only some values are computed.
func (r *configReader) fixed(keys []fixedKey) {
	for _, f := range keys {
		if raw, ok := r.take(f.key); ok && !slices.Contains(f.accept, string(raw)) {
			r.fail(f.key, "is %.200s, which this version cannot compute; it supports only %s: %s", raw,
				f.accept[0], f.fix)
		}
	}
}

// heads reads what depends on the number of heads. A null is transformers' "derive it".
func (r *configReader) heads(cfg *pb.ModelConfig, f family) {
	kv, dim := f.kvHeads, f.headDim
	if kv == 0 || r.has("num_key_value_heads") {
		kv = cfg.Heads
	}
	cfg.KvHeads = r.size("num_key_value_heads", kv)
	if cfg.Heads > 0 && (dim == 0 || r.has("head_dim")) {
		dim = cfg.HiddenSize / cfg.Heads
	}
	cfg.HeadDim = r.size("head_dim", dim)
}
