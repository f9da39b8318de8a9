package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// ignored keys do not change the mathematics of training: bookkeeping, generation, serving.
var ignored = []string{
	"_attn_implementation", "_name_or_path", "architectures", "attn_implementation", "dtype",
	"max_sequence_length", "pad_token_id", "torch_dtype", "transformers_version", "use_cache",
	"unsloth_fixed", "unsloth_version",
}

// fixed keys change the mathematics; the model computes only this one value of each.
var fixed = []struct {
	key    string
	accept []string // JSON
}{
	{"model_type", []string{`"llama"`}},
	{"hidden_act", []string{`"silu"`}},
	{"attention_bias", []string{"false"}},
	{"attention_dropout", []string{"0.0", "0", "null"}},
	{"mlp_bias", []string{"false"}},
	{"partial_rotary_factor", []string{"1.0", "1"}},
	{"pretraining_tp", []string{"1", "null"}},
	{"quantization_config", []string{"null"}},
	{"rope_scaling", []string{"null"}},
	{"sliding_window", []string{"null"}},
	{"use_sliding_window", []string{"false"}},
}

// ParseConfig reads a config.json. All its problems come in one error, each with its key.
// Absent optional keys take the defaults of transformers' LlamaConfig.
func ParseConfig(data []byte) (*pb.ModelConfig, error) {
	r, err := newConfigReader(data)
	if err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	if !r.has("model_type") {
		r.fail("model_type", "is missing; want \"llama\"")
	}
	for _, f := range fixed {
		if raw, ok := r.take(f.key); ok && !slices.Contains(f.accept, string(raw)) {
			r.fail(f.key, "is %.200s, which this version cannot compute; it supports only %s", raw,
				f.accept[0])
		}
	}
	cfg := &pb.ModelConfig{
		Family:           "llama",
		VocabSize:        r.size("vocab_size", 0),
		HiddenSize:       r.size("hidden_size", 0),
		IntermediateSize: r.size("intermediate_size", 0),
		Layers:           r.size("num_hidden_layers", 0),
		Heads:            r.size("num_attention_heads", 0),
		MaxPositions:     r.size("max_position_embeddings", 2048),
		RmsNormEps:       r.number("rms_norm_eps", 1e-6),
		InitializerRange: r.number("initializer_range", 0.02),
		TiedEmbeddings:   r.flag("tie_word_embeddings"),
		RopeTheta:        r.ropeTheta(),
		BosId:            r.token("bos_token_id"),
		EosId:            r.token("eos_token_id"),
	}
	cfg.KvHeads = r.size("num_key_value_heads", cfg.Heads)
	var headDim uint32
	if cfg.Heads > 0 {
		headDim = cfg.HiddenSize / cfg.Heads
	}
	cfg.HeadDim = r.size("head_dim", headDim)
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	if err := model.Check(cfg); err != nil {
		return nil, fmt.Errorf("parse config.json: %w", err)
	}
	return cfg, nil
}

// configReader takes keys out of an object one by one and collects what is wrong.
type configReader struct {
	raw  map[string]json.RawMessage
	keys []string // in file order
	errs []error
}

func newConfigReader(data []byte) (*configReader, error) {
	members, err := safetensors.Members(data)
	if err != nil {
		return nil, err
	}
	r := &configReader{raw: make(map[string]json.RawMessage, len(members))}
	for _, m := range members {
		r.raw[m.Name] = bytes.TrimSpace(m.Value)
		r.keys = append(r.keys, m.Name)
	}
	return r, nil
}

func (r *configReader) fail(key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("key %.200q %w", key, fmt.Errorf(format, args...)))
}

func (r *configReader) has(key string) bool {
	_, ok := r.raw[key]
	return ok
}

func (r *configReader) take(key string) (json.RawMessage, bool) {
	raw, ok := r.raw[key]
	delete(r.raw, key)
	return raw, ok
}

// value decodes an optional key into dst and reports whether it is there and not null.
func (r *configReader) value(key string, dst any) bool {
	raw, ok := r.take(key)
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		r.fail(key, "is %.200s: %w", raw, err)
		return false
	}
	return true
}

// size is a positive whole number; without a default (0) the key must be there.
func (r *configReader) size(key string, fallback uint32) uint32 {
	missing := !r.has(key) || string(r.raw[key]) == "null"
	n, bad := fallback, len(r.errs)
	r.value(key, &n)
	if n == 0 && missing && key != "head_dim" && key != "num_key_value_heads" {
		r.fail(key, "is missing; want a whole number")
	} else if n == 0 && !missing && len(r.errs) == bad {
		r.fail(key, "is 0; want a positive whole number")
	}
	return n
}

func (r *configReader) number(key string, fallback float64) float64 {
	x := fallback
	r.value(key, &x)
	return x
}

func (r *configReader) flag(key string) bool {
	var b bool
	r.value(key, &b)
	return b
}

// token is a token id, or the first of a list; -1 if there is none.
func (r *configReader) token(key string) int32 {
	if raw := r.raw[key]; len(raw) > 0 && raw[0] == '[' {
		var ids []int32
		if r.value(key, &ids) && len(ids) > 0 {
			return ids[0]
		}
		return -1
	}
	id := int32(-1)
	r.value(key, &id)
	return id
}

// ropeTheta reads the base of the rotary embedding in its old form, rope_theta, and its newer one,
// rope_parameters. Given both, they must agree.
func (r *configReader) ropeTheta() float64 {
	const fallback = 10000
	theta := fallback + 0.0
	old := r.value("rope_theta", &theta)
	var params json.RawMessage
	if !r.value("rope_parameters", &params) {
		return theta
	}
	inner, err := newConfigReader(params)
	if err != nil {
		r.fail("rope_parameters", "is not an object: %w", err)
		return theta
	}
	kind := "default"
	inner.value("rope_type", &kind)
	if kind != "default" {
		inner.fail("rope_type", "is %.200q; this version supports only \"default\"", kind)
	}
	if raw, ok := inner.take("partial_rotary_factor"); ok && string(raw) != "1.0" &&
		string(raw) != "1" {
		inner.fail("partial_rotary_factor", "is %.200s; this version supports only 1.0", raw)
	}
	newer := fallback + 0.0
	if has := inner.value("rope_theta", &newer); old && has && newer != theta {
		inner.fail("rope_theta", "is %v, but the outer rope_theta is %v; remove one", newer, theta)
	} else if has {
		theta = newer
	}
	if err := inner.finish(); err != nil {
		r.fail("rope_parameters", "has: %w", err)
	}
	return theta
}

// finish reports keys that nobody took and that are not known to be harmless.
func (r *configReader) finish() error {
	for _, key := range r.keys {
		if _, left := r.raw[key]; left && !slices.Contains(ignored, key) {
			r.fail(key, "is not known to this version, which cannot tell whether it changes the "+
				"mathematics; if it does not, remove it")
		}
	}
	return errors.Join(r.errs...)
}
