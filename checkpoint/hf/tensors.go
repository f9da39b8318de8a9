package hf

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/worker/model"
)

// checkTensors compares what was found with what the model has.
func (f *Folder) checkTensors() error {
	want := make(map[string]bool)
	for _, u := range model.Units(f.cfg) {
		for _, p := range u.Params {
			want[p.Name] = true
			t, ok := f.tensors[p.Name]
			switch {
			case !ok:
				return fmt.Errorf("tensor %s is missing in %s; config.json (%s) asks for it: correct "+
					"config.json, or fetch the folder again", p.Name, f.list, f.cfg.Family)
			case !slices.Equal(t.Shape, p.Shape):
				return fmt.Errorf("tensor %s has shape %v in %s, but config.json says %v; correct the one "+
					"that is wrong", p.Name, t.Shape, t.file.uri, p.Shape)
			case t.DType != safetensors.F32 && t.DType != safetensors.BF16 && t.DType != safetensors.F16:
				return fmt.Errorf("tensor %s is %s in %s, want F32, BF16 or F16; convert the model first",
					p.Name, t.DType, t.file.uri)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.tensors)) {
		if !want[name] && !f.redundant(name) {
			return fmt.Errorf("tensor %.200q in %s is not part of the model that config.json describes "+
				"(%s), and would be ignored; correct config.json, or remove the tensor", name,
				f.tensors[name].file.uri, f.cfg.Family)
		}
	}
	return nil
}

const (
	embedding = "model.embed_tokens.weight"
	headCopy  = "lm_head.weight"
)

// redundant tensors say again what the configuration says: old exports hold the rotary
// frequencies, and some tied ones a copy of the embedding (checkTied).
func (f *Folder) redundant(name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq") ||
		f.cfg.TiedEmbeddings && name == headCopy
}

// checkTied compares a tied model's copy of the embedding, if there is one, with the embedding.
// Versions of transformers disagree on which of two different ones counts.
func (f *Folder) checkTied(ctx context.Context) error {
	c, ok := f.tensors[headCopy]
	if !ok || !f.cfg.TiedEmbeddings {
		return nil
	}
	differs := fmt.Errorf("tie_word_embeddings is true, but %s differs from %s; set it to false if "+
		"the two are meant to", headCopy, embedding)
	n := f.tensors[embedding].Elements()
	if c.Elements() != n {
		return differs
	}
	a, b := make([]float32, min(n, pieceElements)), make([]float32, min(n, pieceElements))
	for lo := 0; lo < n; lo += pieceElements {
		hi := min(n, lo+pieceElements)
		if err := f.Read(ctx, embedding, lo, hi, a[:hi-lo]); err != nil {
			return err
		}
		if err := f.Read(ctx, headCopy, lo, hi, b[:hi-lo]); err != nil {
			return err
		}
		if !slices.Equal(a[:hi-lo], b[:hi-lo]) {
			return differs
		}
	}
	return nil
}
