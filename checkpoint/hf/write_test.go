package hf_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// weights lists the files of weights in a folder.
func weights(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "model*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range paths {
		paths[i] = filepath.Base(p)
	}
	return paths
}

func writeAs(t *testing.T, dir string, cfg *pb.ModelConfig, f hf.Format) error {
	t.Helper()
	return hf.WriteAs(ctx, opener(t), dir, cfg, sources(cfg), nil, f)
}

// All formats hold the same weights, up to BF16's rounding; each replaces the one before it.
func TestWriteFormats(t *testing.T) {
	dir, cfg := t.TempDir(), tiny(false)
	sharded := []string{hf.IndexFile} // which sorts after the files
	for i := range 8 {
		sharded = slices.Insert(sharded, i, fmt.Sprintf("model-%05d-of-00008.safetensors", i+1))
	}
	for _, c := range []struct {
		f    hf.Format
		want []string
	}{
		{hf.Format{}, []string{hf.WeightsFile}},
		{hf.Format{ShardBytes: 2000}, sharded},
		{hf.Format{DType: safetensors.BF16, ShardBytes: 1000}, sharded},
		{hf.Format{DType: safetensors.BF16}, []string{hf.WeightsFile}},
	} {
		if err := writeAs(t, dir, cfg, c.f); err != nil {
			t.Fatal(err)
		}
		if got := weights(t, dir); !slices.Equal(got, c.want) {
			t.Errorf("%+v: files are %v, want %v", c.f, got, c.want)
		}
		f, round := load(t, dir), float32(0)
		if c.f.DType == safetensors.BF16 {
			round = 1.0 / 256
		}
		for _, u := range model.Units(cfg) {
			for _, p := range u.Params {
				want, got := make([]float32, p.Len()), make([]float32, p.Len())
				model.InitParam(cfg, p, 1, want)
				if err := f.Read(ctx, p.Name, 0, p.Len(), got); err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if diff := got[i] - want[i]; max(diff, -diff) > round*max(want[i], -want[i]) {
						t.Fatalf("%+v: %s[%d] is %v, want %v", c.f, p.Name, i, got[i], want[i])
					}
				}
			}
		}
		dtype := readJSON(t, dir, hf.ConfigFile)["torch_dtype"]
		if (dtype == "bfloat16") != (c.f.DType == safetensors.BF16) {
			t.Errorf("%+v: torch_dtype is %v", c.f, dtype)
		}
	}
}

func readJSON(t *testing.T, dir, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The index says what transformers' says, and no file is larger than the limit, single tensors
// aside.
func TestShardsAndIndex(t *testing.T) {
	dir, cfg := t.TempDir(), tiny(true)
	if err := writeAs(t, dir, cfg, hf.Format{ShardBytes: 700}); err != nil {
		t.Fatal(err)
	}
	index := readJSON(t, dir, hf.IndexFile)
	n := float64(model.ParameterCount(cfg))
	if md := index["metadata"].(map[string]any); md["total_size"] != 4*n ||
		md["total_parameters"] != n {
		t.Errorf("metadata is %v, want %v parameters", md, n)
	}
	sizes := map[string]int{}
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			name, _ := index["weight_map"].(map[string]any)[p.Name].(string)
			if sizes[name] += 4 * p.Len(); sizes[name] > 700 && sizes[name] != 4*p.Len() {
				t.Errorf("%s holds %d bytes", name, sizes[name])
			}
		}
	}
	if len(sizes) != len(weights(t, dir))-1 || sizes[""] != 0 {
		t.Errorf("index names %v, files are %v", sizes, weights(t, dir))
	}
}

// No export holds what is no number, not even after rounding.
func TestWriteRefusesNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		dtype safetensors.DType
		x     float32
		ok    bool
	}{
		{safetensors.F32, nan, false}, {safetensors.F32, inf, false},
		{safetensors.BF16, nan, false}, {safetensors.BF16, inf, false},
		{safetensors.F32, math.MaxFloat32, true}, {safetensors.BF16, math.MaxFloat32, false},
		{safetensors.BF16, -math.Float32frombits(0x7f7f7fff), true},
	} {
		cfg := tiny(false)
		tensors := sources(cfg)
		tensors[2].Read = func(_ context.Context, dst []float32) error {
			dst[3] = c.x
			return nil
		}
		err := hf.WriteAs(ctx, opener(t), t.TempDir(), cfg, tensors, nil, hf.Format{DType: c.dtype})
		if c.ok && err != nil {
			t.Errorf("%v in %s: %v", c.x, c.dtype, err)
		} else if !c.ok {
			refuse(t, err, tensors[2].Name+": element 3 is")
		}
	}
	refuse(t, writeAs(t, t.TempDir(), tiny(false), hf.Format{DType: "F16"}), "want F32 or BF16")
}

func TestWeightsNamesAreReserved(t *testing.T) {
	for _, name := range []string{"model-00001-of-00002.safetensors", hf.IndexFile, hf.WeightsFile} {
		err := hf.Write(ctx, opener(t), t.TempDir(), tiny(false), sources(tiny(false)),
			map[string][]byte{name: nil})
		refuse(t, err, strings.TrimSuffix(name, ".safetensors"))
	}
}
