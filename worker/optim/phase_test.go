package optim_test

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/optim"
)

func TestSelects(t *testing.T) {
	const (
		embed = "model.embed_tokens.weight"
		head  = "lm_head.weight"
		norm  = "model.norm.weight"
		norm1 = "model.layers.0.input_layernorm.weight"
		qNorm = "model.layers.11.self_attn.q_norm.weight"
		query = "model.layers.1.self_attn.q_proj.weight"
		bias  = "model.layers.11.self_attn.q_proj.bias"
	)
	all := []string{embed, head, norm, norm1, qNorm, query, bias}
	for part, want := range map[string][]string{
		"all":                         all,
		"embeddings":                  {embed},
		"head":                        {head},
		"blocks":                      {norm1, qNorm, query, bias},
		"norms":                       {norm, norm1, qNorm},
		"model.layers.1.*":            {query},
		"*.bias":                      {bias},
		"model.layers.*.self_attn.*t": {qNorm, query},
		"*_proj*_proj*":               nil,
		"*":                           all,
		embed:                         {embed},
		"model.embed_tokens.weigh":    nil,
		"Embeddings":                  nil,
		"":                            nil,
	} {
		var got []string
		for _, name := range all {
			if optim.Selects(part, name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q takes in %v, want %v", part, got, want)
		}
	}
	for _, word := range optim.PartNames() {
		if optim.IsPattern(word) || len(word) == 0 {
			t.Errorf("the word %q is a pattern", word)
		}
	}
}

func TestPhases(t *testing.T) {
	run := optim.Length{Steps: 100, TokensPerStep: 10}
	phases := []*pb.Phase{
		{Until: &pb.Span{Steps: 5}, Train: []string{"embeddings", "head"}, Lr: 0.5},
		{Until: &pb.Span{Share: 0.1}, Train: []string{"norms"}},
		{Until: &pb.Span{Tokens: 200}, Train: []string{"all"}, Lr: 0.25},
	}
	o := &pb.Optimizer{Lr: 1}
	for _, c := range []struct {
		step              uint64
		peak              float64
		embed, norm, rest bool
	}{
		{1, 0.5, true, false, false}, {5, 0.5, true, false, false}, {6, 1, false, true, false},
		{10, 1, false, true, false}, {11, 0.25, true, true, true}, {20, 0.25, true, true, true},
		{21, 1, true, true, true},
	} {
		p := optim.PhaseOf(phases, c.step, run)
		if got := optim.Peak(o, p); got != c.peak {
			t.Errorf("step %d: peak %v, want %v", c.step, got, c.peak)
		}
		for name, want := range map[string]bool{"model.embed_tokens.weight": c.embed,
			"lm_head.weight": c.embed, "model.norm.weight": c.norm,
			"model.layers.0.mlp.up_proj.weight": c.rest} {
			if optim.Trains(p, name) != want {
				t.Errorf("step %d: %s is trained: %v, want %v", c.step, name, !want, want)
			}
		}
	}
}
