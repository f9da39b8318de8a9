package hf_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"google.golang.org/protobuf/proto"
)

// base is a complete config.json; change returns it with keys replaced, or removed if "".
func change(t *testing.T, with map[string]string) []byte {
	t.Helper()
	data, err := hf.EncodeConfig(tiny(false))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for k, v := range with {
		if v == "" {
			delete(keys, k)
		} else {
			keys[k] = json.RawMessage(v)
		}
	}
	out, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConfigForms(t *testing.T) {
	for name, c := range map[string]struct {
		with  map[string]string
		theta float64
		eos   int32
	}{
		"as written":    {nil, 10000, -1},
		"old rope form": {map[string]string{"rope_parameters": "", "rope_scaling": "null"}, 10000, -1},
		"new rope form": {map[string]string{"rope_theta": "",
			"rope_parameters": `{"rope_type":"default","rope_theta":5e5}`}, 5e5, -1},
		"no rope at all":     {map[string]string{"rope_parameters": "", "rope_theta": ""}, 10000, -1},
		"list of end tokens": {map[string]string{"eos_token_id": "[7, 8]"}, 10000, 7},
		"harmless keys": {map[string]string{"use_cache": "true", "pad_token_id": "0",
			"torch_dtype": `"bfloat16"`, "_name_or_path": `"x"`, "pretraining_tp": "1"}, 10000, -1},
	} {
		cfg, err := hf.ParseConfig(change(t, c.with))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := tiny(false)
		want.RopeTheta, want.EosId = c.theta, c.eos
		if !proto.Equal(cfg, want) {
			t.Errorf("%s: config is %v, want %v", name, cfg, want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	cfg, err := hf.ParseConfig([]byte(`{"model_type":"llama","vocab_size":8,"hidden_size":16,
		"intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":4}`))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.KvHeads != 4 || cfg.HeadDim != 4 || cfg.RopeTheta != 10000 || cfg.RmsNormEps != 1e-6 ||
		cfg.TiedEmbeddings || cfg.MaxPositions != 2048 || cfg.InitializerRange != 0.02 {
		t.Errorf("defaults are %v", cfg)
	}
}

// What changes the mathematics and is not computed is refused by name.
func TestConfigRefusesByName(t *testing.T) {
	for key, value := range map[string]string{
		"model_type":            `"mistral"`,
		"hidden_act":            `"gelu"`,
		"attention_bias":        "true",
		"attention_dropout":     "0.1",
		"mlp_bias":              "true",
		"rope_scaling":          `{"factor":8.0,"rope_type":"llama3"}`,
		"pretraining_tp":        "2",
		"quantization_config":   `{"bits":4}`,
		"sliding_window":        "4096",
		"partial_rotary_factor": "0.5",
		"embedding_multiplier":  "12.0",
		"vocab_size":            "0",
		"hidden_size":           `"12"`,
		"num_hidden_layers":     "-1",
		"num_attention_heads":   "",
		"num_key_value_heads":   "0",
		"rms_norm_eps":          `"x"`,
		"tie_word_embeddings":   "1",
		"bos_token_id":          "1.5",
		"rope_parameters":       "3",
		"rope_type":             "",
	} {
		with := map[string]string{key: value}
		if key == "rope_type" {
			with = map[string]string{"rope_parameters": `{"rope_type":"yarn","rope_theta":1e4}`}
		}
		_, err := hf.ParseConfig(change(t, with))
		if err == nil || !strings.Contains(err.Error(), `key "`+key+`"`) {
			t.Errorf("%s = %s: error is %v", key, value, err)
		}
	}
	for _, rope := range []string{`{"rope_theta":5e5}`, `{"factor":2.0}`,
		`{"partial_rotary_factor":0.5}`} {
		_, err := hf.ParseConfig(change(t, map[string]string{"rope_parameters": rope}))
		refuse(t, err, "rope_parameters")
	}
}

// All problems come at once.
func TestConfigErrorsComeTogether(t *testing.T) {
	_, err := hf.ParseConfig(change(t, map[string]string{"mlp_bias": "true", "surprise": "1",
		"vocab_size": ""}))
	for _, want := range []string{`"mlp_bias"`, `"surprise"`, `"vocab_size"`} {
		refuse(t, err, want)
	}
}

// FuzzConfig: no input panics; what is accepted survives being written and read again.
func FuzzConfig(f *testing.F) {
	data, err := hf.EncodeConfig(tiny(true))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"model_type":"llama","rope_parameters":{"rope_type":"default"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := hf.ParseConfig(data)
		if err != nil {
			return
		}
		again, err := hf.EncodeConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		back, err := hf.ParseConfig(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		// Any negative token id means none.
		cfg.BosId, cfg.EosId = max(cfg.BosId, -1), max(cfg.EosId, -1)
		if !proto.Equal(cfg, back) {
			t.Errorf("%v reads back as %v", cfg, back)
		}
	})
}
