package hf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

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

type ropeJSON struct {
	Theta number `json:"rope_theta"`
	Type  string `json:"rope_type"`
}

// configJSON is what an export's config.json holds, in the order of its keys.
type configJSON struct {
	Architectures    []string `json:"architectures"`
	AttentionBias    bool     `json:"attention_bias"`
	AttentionDropout number   `json:"attention_dropout"`
	BOS              *int32   `json:"bos_token_id"`
	DType            string   `json:"dtype"`
	EOS              *int32   `json:"eos_token_id"`
	HeadDim          uint32   `json:"head_dim"`
	HiddenAct        string   `json:"hidden_act"`
	HiddenSize       uint32   `json:"hidden_size"`
	InitializerRange number   `json:"initializer_range"`
	IntermediateSize uint32   `json:"intermediate_size"`
	MaxPositions     uint32   `json:"max_position_embeddings"`
	MLPBias          bool     `json:"mlp_bias"`
	ModelType        string   `json:"model_type"`
	Heads            uint32   `json:"num_attention_heads"`
	Layers           uint32   `json:"num_hidden_layers"`
	KVHeads          uint32   `json:"num_key_value_heads"`
	RMSNormEps       number   `json:"rms_norm_eps"`
	// Both forms: transformers before 5 reads rope_theta, later ones rope_parameters.
	RopeParameters ropeJSON `json:"rope_parameters"`
	RopeTheta      number   `json:"rope_theta"`
	Tied           bool     `json:"tie_word_embeddings"`
	VocabSize      uint32   `json:"vocab_size"`
}

// EncodeConfig is the config.json of a model; ParseConfig reads it back to the same configuration,
// and transformers loads it as LlamaForCausalLM.
func EncodeConfig(cfg *pb.ModelConfig) ([]byte, error) {
	data, err := json.MarshalIndent(configJSON{
		Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", HiddenAct: "silu",
		DType: "float32", BOS: tokenJSON(cfg.BosId), EOS: tokenJSON(cfg.EosId),
		HeadDim: cfg.HeadDim, HiddenSize: cfg.HiddenSize, IntermediateSize: cfg.IntermediateSize,
		InitializerRange: number(cfg.InitializerRange), MaxPositions: cfg.MaxPositions,
		Heads: cfg.Heads, Layers: cfg.Layers, KVHeads: cfg.KvHeads,
		RMSNormEps: number(cfg.RmsNormEps), RopeTheta: number(cfg.RopeTheta),
		RopeParameters: ropeJSON{Theta: number(cfg.RopeTheta), Type: "default"},
		Tied:           cfg.TiedEmbeddings, VocabSize: cfg.VocabSize,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode config.json: %w", err)
	}
	return append(data, '\n'), nil
}

func tokenJSON(id int32) *int32 {
	if id < 0 {
		return nil
	}
	return &id
}
