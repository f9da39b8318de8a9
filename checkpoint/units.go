package checkpoint

import (
	"github.com/banyan-train/banyan/checkpoint/manifest"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// Units is a model's layout in the words of a manifest: what the ranks shard and what a committed
// checkpoint names.
func Units(cfg *pb.ModelConfig) []manifest.Unit {
	var out []manifest.Unit
	for _, u := range model.Units(cfg) {
		x := manifest.Unit{Name: u.Name, Size: u.Size}
		for _, p := range u.Params {
			x.Params = append(x.Params, manifest.Param{Name: p.Name, Shape: p.Shape, Offset: p.Offset})
		}
		out = append(out, x)
	}
	return out
}
