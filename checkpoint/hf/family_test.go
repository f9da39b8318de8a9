package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// published are the configurations that testdata/configs holds, as published by the models'
// makers; the -v5 ones say the same after transformers 5 saved them.
var published = map[string]string{
	"llama-2-7b": `family: "llama" vocab_size: 32000 hidden_size: 4096 intermediate_size: 11008
		layers: 32 heads: 32 kv_heads: 32 head_dim: 128 rope_theta: 10000 rms_norm_eps: 1e-5
		max_positions: 4096 initializer_range: 0.02 bos_id: 1 eos_id: 2`,
	"llama-3.1-8b": `family: "llama" vocab_size: 128256 hidden_size: 4096 intermediate_size: 14336
		layers: 32 heads: 32 kv_heads: 8 head_dim: 128 rope_theta: 500000 rms_norm_eps: 1e-5
		max_positions: 131072 initializer_range: 0.02 bos_id: 128000 eos_id: 128001
		rope_scaling { kind: "llama3" factor: 8 low_freq_factor: 1 high_freq_factor: 4
			original_max_positions: 8192 }`,
	"llama-3.2-1b": `family: "llama" vocab_size: 128256 hidden_size: 2048 intermediate_size: 8192
		layers: 16 heads: 32 kv_heads: 8 head_dim: 64 rope_theta: 500000 rms_norm_eps: 1e-5
		tied_embeddings: true max_positions: 131072 initializer_range: 0.02
		bos_id: 128000 eos_id: 128001
		rope_scaling { kind: "llama3" factor: 32 low_freq_factor: 1 high_freq_factor: 4
			original_max_positions: 8192 }`,
	"mistral-7b-v0.1": `family: "mistral" vocab_size: 32000 hidden_size: 4096
		intermediate_size: 14336 layers: 32 heads: 32 kv_heads: 8 head_dim: 128 rope_theta: 10000
		rms_norm_eps: 1e-5 max_positions: 32768 initializer_range: 0.02 bos_id: 1 eos_id: 2
		sliding_window: 4096`,
	"mistral-7b-v0.3": `family: "mistral" vocab_size: 32768 hidden_size: 4096
		intermediate_size: 14336 layers: 32 heads: 32 kv_heads: 8 head_dim: 128
		rope_theta: 1000000 rms_norm_eps: 1e-5 max_positions: 32768 initializer_range: 0.02
		bos_id: 1 eos_id: 2`,
	"qwen2-0.5b": `family: "qwen2" vocab_size: 151936 hidden_size: 896 intermediate_size: 4864
		layers: 24 heads: 14 kv_heads: 2 head_dim: 64 rope_theta: 1000000 rms_norm_eps: 1e-6
		tied_embeddings: true max_positions: 131072 initializer_range: 0.02
		bos_id: 151643 eos_id: 151643 qkv_bias: true`,
	"qwen2.5-7b": `family: "qwen2" vocab_size: 152064 hidden_size: 3584 intermediate_size: 18944
		layers: 28 heads: 28 kv_heads: 4 head_dim: 128 rope_theta: 1000000 rms_norm_eps: 1e-6
		max_positions: 131072 initializer_range: 0.02 bos_id: 151643 eos_id: 151643 qkv_bias: true`,
	"qwen3-0.6b": `family: "qwen3" vocab_size: 151936 hidden_size: 1024 intermediate_size: 3072
		layers: 28 heads: 16 kv_heads: 8 head_dim: 128 rope_theta: 1000000 rms_norm_eps: 1e-6
		tied_embeddings: true max_positions: 40960 initializer_range: 0.02
		bos_id: 151643 eos_id: 151645 qk_norm: true`,
}

func TestPublishedConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/configs/*.json")
	if err != nil || len(files) < len(published) {
		t.Fatalf("found %v (%v)", files, err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".json"), "-v5")
		want := &pb.ModelConfig{}
		if err := prototext.Unmarshal([]byte(published[name]), want); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := hf.ParseConfig(data)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", path, got, want)
		}
		for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
			data, err := hf.EncodeConfig(got, dtype)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := hf.ParseConfig(data); err != nil || !proto.Equal(again, want) {
				t.Errorf("%s written in %s reads back as %v (%v)", path, dtype, again, err)
			}
		}
	}
}

// small is a config.json of 4 layers with only the keys that have no default, and more.
func small(family, more string) []byte {
	return []byte(`{"model_type":"` + family + `","vocab_size":8,"hidden_size":128,` +
		`"intermediate_size":32,"num_hidden_layers":4,"num_attention_heads":32` + more + `}`)
}

// Absent keys take the defaults of transformers' classes.
func TestFamilyDefaults(t *testing.T) {
	for family, want := range map[string]string{
		"llama": `kv_heads: 32 head_dim: 4 max_positions: 2048 bos_id: 1 eos_id: 2`,
		"mistral": `kv_heads: 8 head_dim: 4 max_positions: 131072 bos_id: 1 eos_id: 2
			sliding_window: 4096`,
		"qwen2": `kv_heads: 32 head_dim: 4 max_positions: 32768 bos_id: -1 eos_id: -1 qkv_bias: true`,
		"qwen3": `kv_heads: 32 head_dim: 128 max_positions: 32768 bos_id: -1 eos_id: -1 qk_norm: true`,
	} {
		full := &pb.ModelConfig{Family: family, VocabSize: 8, HiddenSize: 128, IntermediateSize: 32,
			Layers: 4, Heads: 32, RopeTheta: 10000, RmsNormEps: 1e-6, InitializerRange: 0.02}
		rest := &pb.ModelConfig{}
		if err := prototext.Unmarshal([]byte(want), rest); err != nil {
			t.Fatal(err)
		}
		proto.Merge(full, rest)
		got, err := hf.ParseConfig(small(family, ""))
		if err != nil || !proto.Equal(got, full) {
			t.Errorf("%s: %v\n got %v\nwant %v", family, err, got, full)
		}
	}
	// A null number of key-value heads means as many as heads, whatever the default.
	got, err := hf.ParseConfig(small("mistral", `,"num_key_value_heads":null,"head_dim":null`))
	if err != nil || got.KvHeads != 32 || got.HeadDim != 4 {
		t.Errorf("null heads: %v (%v)", got, err)
	}
}

func TestWindows(t *testing.T) {
	const all = `"full_attention","full_attention","full_attention","full_attention"`
	sliding := strings.ReplaceAll(all, "full", "sliding")
	for _, c := range []struct {
		family, keys string
		want         uint32
		refusal      string
	}{
		{"llama", ``, 0, ""},
		{"llama", `"sliding_window":null`, 0, ""},
		{"llama", `"sliding_window":4096,"use_sliding_window":false,"max_window_layers":2`, 0, ""},
		{"llama", `"sliding_window":4096`, 0, `key "sliding_window"`},
		{"llama", `"use_sliding_window":true`, 0, `key "sliding_window"`},
		{"llama", `"layer_types":[` + all + `]`, 0, ""},
		{"llama", `"layer_types":[` + sliding + `]`, 0, `key "layer_types"`},
		{"mistral", `"sliding_window":null`, 0, ""},
		{"mistral", `"sliding_window":7`, 7, ""},
		{"mistral", `"sliding_window":0`, 0, `key "sliding_window"`},
		{"mistral", `"sliding_window":-1`, 0, `key "sliding_window"`},
		{"mistral", `"sliding_window":7,"use_sliding_window":false`, 0, `key "use_sliding_window"`},
		{"mistral", `"sliding_window":7,"layer_types":[` + sliding + `]`, 7, ""},
		{"mistral", `"sliding_window":7,"layer_types":[` + all + `]`, 0, `key "layer_types"`},
		{"mistral", `"sliding_window":null,"layer_types":[` + sliding + `]`, 0, `key "layer_types"`},
		{"qwen2", `"sliding_window":7,"use_sliding_window":false,"max_window_layers":0`, 0, ""},
		{"qwen2", `"use_sliding_window":true`, 0, ""}, // from layer 28 on
		{"qwen2", `"use_sliding_window":true,"max_window_layers":0`, 4096, ""},
		{"qwen3", `"use_sliding_window":true,"max_window_layers":0,"sliding_window":7`, 7, ""},
		{"qwen3", `"use_sliding_window":true,"max_window_layers":0,"sliding_window":null`, 0, ""},
		{"qwen3", `"use_sliding_window":true,"max_window_layers":4,"sliding_window":7`, 0, ""},
		{"qwen3", `"use_sliding_window":true,"max_window_layers":2`, 0, `key "max_window_layers"`},
		{"qwen3", `"use_sliding_window":true,"sliding_window":7,"layer_types":[` + sliding + `]`, 7, ""},
		{"qwen2", `"use_sliding_window":true,"max_window_layers":2,"layer_types":[` + all + `]`, 0, ""},
		{"qwen3", `"layer_types":[` + sliding + `]`, 0, `key "layer_types"`},
		{"qwen3", `"use_sliding_window":true,"layer_types":["sliding_attention",` + all[17:] + `]`, 0,
			`makes 1 of 4 layers slide`},
		{"qwen3", `"layer_types":["full_attention"]`, 0, "1 entries for 4 layers"},
		{"qwen3", `"layer_types":["linear_attention",` + all[17:] + `]`, 0, `"linear_attention"`},
		{"qwen3", `"layer_types":3`, 0, `key "layer_types"`},
	} {
		keys := c.keys
		if keys != "" {
			keys = "," + keys
		}
		got, err := hf.ParseConfig(small(c.family, keys))
		if c.refusal != "" {
			refuse(t, err, c.refusal)
		} else if err != nil || got.SlidingWindow != c.want {
			t.Errorf("%s %s: window is %d, want %d (%v)", c.family, c.keys, got.GetSlidingWindow(),
				c.want, err)
		}
	}
}

func TestRopeForms(t *testing.T) {
	const l3 = `"factor":8,"low_freq_factor":1.0,"high_freq_factor":4.0,` +
		`"original_max_position_embeddings":16`
	for _, c := range []struct{ keys, want, refusal string }{
		{`"rope_scaling":null,"rope_theta":5e5`, `rope_theta: 500000`, ""},
		{`"rope_scaling":{"rope_type":"default"}`, `rope_theta: 10000`, ""},
		{`"rope_scaling":{"type":"linear","factor":2.5}`,
			`rope_theta: 10000 rope_scaling { kind: "linear" factor: 2.5 }`, ""},
		{`"rope_scaling":{"rope_type":"llama3","type":"llama3",` + l3 + `}`,
			`rope_theta: 10000 rope_scaling { kind: "llama3" factor: 8 low_freq_factor: 1
			high_freq_factor: 4 original_max_positions: 16 }`, ""},
		{`"rope_parameters":{"rope_type":"linear","factor":2,"rope_theta":7e4}`,
			`rope_theta: 70000 rope_scaling { kind: "linear" factor: 2 }`, ""},
		{`"rope_theta":7e4,"rope_parameters":{"rope_type":"default"},"rope_scaling":{}`,
			`rope_theta: 70000`, ""},
		{`"rope_scaling":{"rope_type":"yarn","factor":4.0,"beta_fast":32}`, "", `"yarn"`},
		{`"rope_scaling":{"type":"dynamic","factor":2.0}`, "", `"dynamic"`},
		{`"rope_scaling":{"type":"longrope","short_factor":[1],"long_factor":[1]}`, "", `"longrope"`},
		{`"rope_scaling":{"type":"mrope","mrope_section":[1,2]}`, "", `"mrope"`},
		{`"rope_scaling":{"type":"linear","rope_type":"llama3","factor":2}`, "", "remove one"},
		{`"rope_scaling":{"type":"linear"}`, "", `key "factor" is missing`},
		{`"rope_scaling":{"type":"linear","factor":0.5}`, "", "want at least 1"},
		{`"rope_scaling":{"type":"linear","factor":"2"}`, "", `key "factor"`},
		{`"rope_scaling":{"type":"linear","factor":2,"attention_factor":3}`, "", `"attention_factor"`},
		{`"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,` +
			`"original_max_position_embeddings":16}`, "", `key "high_freq_factor"`},
		{`"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}`,
			"", `key "original_max_position_embeddings" is missing`},
		{`"rope_scaling":{"type":"linear","factor":2},"rope_parameters":{"rope_type":"default"}`, "",
			`not what rope_scaling says`},
		{`"rope_theta":1e4,"rope_parameters":{"rope_type":"default","rope_theta":5e5}`, "",
			"outer rope_theta"},
		{`"rope_parameters":{"full_attention":{"rope_type":"default"}}`, "", `"full_attention"`},
		{`"rope_scaling":[1]`, "", "is not an object"},
		{`"rope_theta":0.5`, "", "rope_theta"},
	} {
		got, err := hf.ParseConfig(small("llama", ","+c.keys))
		if c.refusal != "" {
			refuse(t, err, c.refusal)
			continue
		}
		want := &pb.ModelConfig{}
		if err := prototext.Unmarshal([]byte(c.want), want); err != nil {
			t.Fatal(err)
		}
		if err != nil || got.RopeTheta != want.RopeTheta ||
			!proto.Equal(got.RopeScaling, want.RopeScaling) {
			t.Errorf("%s: rope is %v, want %v (%v)", c.keys, got, want, err)
		}
	}
}
