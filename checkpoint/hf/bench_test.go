package hf_test

import (
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/worker/model"
)

// plain hides that files can be mapped.
type plain struct{ store.Opener }

func (p plain) Open(uri string) (store.Bucket, string, error) {
	b, key, err := p.Opener.Open(uri)
	return struct{ store.Bucket }{b}, key, err
}

// BenchmarkRead reads all weights of a model whose files are in the page cache, in bytes of the
// file: through a mapping, and by range reads as from an object store.
func BenchmarkRead(b *testing.B) {
	cfg := &pb.ModelConfig{Family: "llama", VocabSize: 16384, HiddenSize: 1024,
		IntermediateSize: 4096, Layers: 3, Heads: 16, KvHeads: 16, HeadDim: 64, RopeTheta: 10000,
		RmsNormEps: 1e-5, MaxPositions: 512, InitializerRange: 0.02, BosId: 1, EosId: -1}
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
		dir := b.TempDir()
		err := hf.WriteAs(ctx, opener(b), dir, cfg, sources(cfg), nil, hf.Format{DType: dtype})
		if err != nil {
			b.Fatal(err)
		}
		for name, op := range map[string]store.Opener{"map": opener(b), "ranges": plain{opener(b)}} {
			b.Run(string(dtype)+"/"+name, func(b *testing.B) { benchmarkRead(b, op, dir, cfg, dtype) })
		}
	}
}

func benchmarkRead(b *testing.B, op store.Opener, dir string, cfg *pb.ModelConfig,
	dtype safetensors.DType) {
	f, err := hf.Load(ctx, op, dir)
	if err != nil {
		b.Fatal(err)
	}
	units := model.Units(cfg)
	dst := make([]float32, units[0].Size)
	b.SetBytes(int64(model.ParameterCount(cfg)) * dtype.Size())
	for b.Loop() {
		for _, u := range units {
			for _, p := range u.Params {
				if err := f.Read(ctx, p.Name, 0, p.Len(), dst[:p.Len()]); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
