package export

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// HuggingFace writes config.json, the weights in the given format and the tokenizer's files to
// dest, a directory or a store's URI. Every byte is verified against the manifest before it is
// written.
func HuggingFace(ctx context.Context, r *checkpoint.Reader, op store.Opener, dest string,
	format hf.Format) error {
	m := r.Manifest()
	cfg := &pb.ModelConfig{}
	if err := protojson.Unmarshal(m.Model, cfg); err != nil {
		return fmt.Errorf("export %s: model configuration: %w", dest, err)
	}
	extra, err := tokenize.GrownFiles(ctx, op, m.TokenizerBase, m.Tokenizer)
	if err != nil {
		return fmt.Errorf("export %s: %w", dest, err)
	}
	var tensors []hf.TensorSource
	for i, u := range m.Units {
		for _, p := range u.Params {
			tensors = append(tensors, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(ctx context.Context, dst []float32) error {
					return r.Read(ctx, i, manifest.KindParam, p.Offset, p.Offset+len(dst), dst)
				}})
		}
	}
	return hf.WriteAs(ctx, op, dest, cfg, tensors, extra, format)
}
