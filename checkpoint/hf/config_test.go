package hf_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"google.golang.org/protobuf/proto"
)

// base is a complete config.json; change returns it with keys replaced, or removed if "".
func change(t *testing.T, with map[string]string) []byte {
	t.Helper()
	data, err := hf.EncodeConfig(tiny(false), safetensors.F32)
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

// What changes the mathematics and is not computed is refused by name.
func TestConfigRefusesByName(t *testing.T) {
	for key, value := range map[string]string{
		"model_type":            `"mixtral"`,
		"hidden_act":            `"gelu"`,
		"attention_bias":        "true",
		"attention_dropout":     "0.1",
		"mlp_bias":              "true",
		"rope_scaling":          `{"factor":8.0,"rope_type":"yarn"}`,
		"num_local_experts":     "8",
		"use_mrope":             "false",
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

// Each family refuses what its mathematics is not.
func TestFamiliesRefuseByName(t *testing.T) {
	for family, keys := range map[string][]string{
		"llama":   {"attention_bias", "mlp_bias", "rope_interleaved"},
		"mistral": {"attention_bias", "mlp_bias", "num_local_experts"},
		"qwen2":   {"mlp_bias", "use_mrope", "num_experts"},
		"qwen3":   {"attention_bias", "mlp_bias", "num_experts"},
	} {
		for _, key := range keys {
			_, err := hf.ParseConfig(small(family, `,"`+key+`":true`))
			refuse(t, err, `key "`+key+`"`)
		}
	}
	_, err := hf.ParseConfig(small("qwen2", `,"attention_bias":false`))
	refuse(t, err, `key "attention_bias"`)
	_, err = hf.ParseConfig(small("qwen2_moe", ""))
	refuse(t, err, "supports llama, mistral, qwen2, qwen3")
}

// FuzzConfig: no input panics; what is accepted survives being written and read again.
func FuzzConfig(f *testing.F) {
	data, err := hf.EncodeConfig(tiny(true), safetensors.F32)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"model_type":"llama","rope_parameters":{"rope_type":"default"}}`))
	files, err := filepath.Glob("testdata/configs/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := hf.ParseConfig(data)
		if err != nil {
			return
		}
		again, err := hf.EncodeConfig(cfg, safetensors.F32)
		if err != nil {
			t.Fatal(err)
		}
		back, err := hf.ParseConfig(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if !proto.Equal(cfg, back) {
			t.Errorf("%v reads back as %v", cfg, back)
		}
	})
}
