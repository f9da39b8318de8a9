package hf_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/model"
	"google.golang.org/protobuf/proto"
)

var ctx = context.Background()

func opener(t testing.TB) store.Opener {
	t.Helper()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func tiny(tied bool) *pb.ModelConfig {
	return &pb.ModelConfig{Family: "llama", VocabSize: 11, HiddenSize: 12, IntermediateSize: 10,
		Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 6, RopeTheta: 10000, RmsNormEps: 1e-5,
		TiedEmbeddings: tied, MaxPositions: 512, InitializerRange: 0.3, BosId: 1, EosId: -1}
}

// sources yields each parameter's initial values.
func sources(cfg *pb.ModelConfig) []hf.TensorSource {
	var out []hf.TensorSource
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			out = append(out, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(_ context.Context, dst []float32) error {
					model.InitParam(cfg, p, 1, dst)
					return nil
				}})
		}
	}
	return out
}

// write makes a folder of a tiny model.
func write(t *testing.T, tied bool) string {
	t.Helper()
	dir := t.TempDir()
	err := hf.Write(ctx, opener(t), dir, tiny(tied), sources(tiny(tied)),
		map[string][]byte{"tokenizer.json": []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, dir string) *hf.Folder {
	t.Helper()
	f, err := hf.Load(ctx, opener(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func refuse(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func TestWriteThenLoad(t *testing.T) {
	for _, tied := range []bool{false, true} {
		cfg, dir := tiny(tied), write(t, tied)
		f := load(t, dir+"/") // a trailing slash makes no difference
		if !proto.Equal(f.Config(), cfg) {
			t.Errorf("config is %v, want %v", f.Config(), cfg)
		}
		for _, u := range model.Units(cfg) {
			for _, p := range u.Params {
				want, got := make([]float32, p.Len()), make([]float32, p.Len())
				model.InitParam(cfg, p, 1, want)
				cut := p.Len() / 3 // in two reads
				err := errors.Join(f.Read(ctx, p.Name, 0, cut, got[:cut]),
					f.Read(ctx, p.Name, cut, p.Len(), got[cut:]))
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s differs (%v)", p.Name, err)
				}
			}
		}
		if data, err := os.ReadFile(filepath.Join(dir, "tokenizer.json")); string(data) != "{}" {
			t.Errorf("extra file is %q (%v)", data, err)
		}
		var one [1]float32
		for _, r := range [][2]int{{-1, 0}, {12, 13}, {0, 2}, {5, 4}} {
			refuse(t, f.Read(ctx, "model.norm.weight", r[0], r[1], one[:]), "elements")
		}
		refuse(t, f.Read(ctx, "nothing", 0, 1, one[:]), "nothing")
	}
}

func TestWriteRefuses(t *testing.T) {
	cfg := tiny(false)
	all := sources(cfg)
	broken := slices.Clone(all)
	broken[3].Read = func(context.Context, []float32) error { return errors.New("no luck") }
	reshaped := slices.Clone(all)
	reshaped[1].Shape = []int{13}
	extra := map[string][]byte{}
	dir := t.TempDir()
	for want, do := range map[string]func() ([]hf.TensorSource, map[string][]byte){
		"lm_head.weight is missing": func() ([]hf.TensorSource, map[string][]byte) {
			return all[:len(all)-1], extra
		},
		"comes twice": func() ([]hf.TensorSource, map[string][]byte) {
			return append(slices.Clone(all), all[0]), extra
		},
		"has shape [13]": func() ([]hf.TensorSource, map[string][]byte) { return reshaped, extra },
		"no luck":        func() ([]hf.TensorSource, map[string][]byte) { return broken, extra },
		`"../x"`: func() ([]hf.TensorSource, map[string][]byte) {
			return all, map[string][]byte{"../x": nil}
		},
		`"config.json"`: func() ([]hf.TensorSource, map[string][]byte) {
			return all, map[string][]byte{"config.json": nil}
		},
	} {
		tensors, files := do()
		refuse(t, hf.Write(ctx, opener(t), dir, cfg, tensors, files), want)
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			t.Fatalf("%s: a failed export looks complete", want)
		}
	}
}

// A failed export over an older one does not leave a folder that looks complete.
func TestFailedReplacementIsIncomplete(t *testing.T) {
	dir, cfg := write(t, false), tiny(false)
	broken := sources(cfg)
	broken[2].Read = func(context.Context, []float32) error { return errors.New("no luck") }
	refuse(t, hf.Write(ctx, opener(t), dir, cfg, broken, nil), "no luck")
	_, err := hf.Load(ctx, opener(t), dir)
	refuse(t, err, "config.json")
}

// I4 for bases: content that changed after it was pinned is refused, and named.
func TestChangedFilesAreNamed(t *testing.T) {
	dir := write(t, false)
	f := load(t, dir)
	pinned := f.Files()
	if err := errors.Join(hf.Verify(ctx, opener(t), pinned), f.Matches(pinned)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, hf.WeightsFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var one [1]float32
	for what, err := range map[string]error{
		"verify":  hf.Verify(ctx, opener(t), pinned),
		"matches": load(t, dir).Matches(pinned),
		"read":    f.Read(ctx, "model.norm.weight", 0, 1, one[:]),
	} {
		if !errors.Is(err, hf.ErrChanged) || !strings.Contains(err.Error(), hf.WeightsFile) {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	if err := load(t, dir).Matches(pinned[:1]); !errors.Is(err, hf.ErrChanged) {
		t.Errorf("fewer files: error is %v", err)
	}
}

// shard rewrites a folder's weights as two files of BF16-rounded halves with an index.
func shard(t *testing.T, dir string, cfg *pb.ModelConfig) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, hf.WeightsFile)); err != nil {
		t.Fatal(err)
	}
	index := `{"metadata":{"total_size":1},"weight_map":{`
	for i, part := range [][]model.Unit{model.Units(cfg)[:2], model.Units(cfg)[2:]} {
		var specs []safetensors.Spec
		name := fmt.Sprintf("part-%d.safetensors", i)
		for _, u := range part {
			for _, p := range u.Params {
				specs = append(specs, safetensors.Spec{Name: p.Name, DType: "BF16", Shape: p.Shape})
				index += fmt.Sprintf("%q:%q,", p.Name, name)
			}
		}
		head, size, err := safetensors.EncodeHeader(specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for len(head) < int(size) {
			head = append(head, 0x80, 0x3f) // 1
		}
		if err := os.WriteFile(filepath.Join(dir, name), head, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir, hf.IndexFile, strings.TrimSuffix(index, ",")+"}}")
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadSharded(t *testing.T) {
	dir, cfg := write(t, false), tiny(false)
	shard(t, dir, cfg)
	f := load(t, dir)
	var got [12]float32
	if err := f.Read(ctx, "model.norm.weight", 0, 12, got[:]); err != nil || got[11] != 1 {
		t.Errorf("norm is %v (%v)", got, err)
	}
	var names []string
	for _, p := range f.Files() {
		names = append(names, filepath.Base(p.Uri))
	}
	want := []string{"config.json", "model.safetensors.index.json", "part-0.safetensors",
		"part-1.safetensors"}
	if !slices.Equal(names, want) {
		t.Errorf("files are %v, want %v", names, want)
	}
}

// I13: hostile and broken folders.
func TestI13_BrokenFoldersAreRefused(t *testing.T) {
	big := strings.Repeat(" ", 1<<20+1)
	for want, spoil := range map[string]func(dir string){
		"config.json":                   func(d string) { os.Remove(filepath.Join(d, hf.ConfigFile)) },
		"neither model.safetensors nor": func(d string) { os.Remove(filepath.Join(d, hf.WeightsFile)) },
		"at most 1048576":               func(d string) { put(t, d, hf.ConfigFile, big) },
		"too short":                     func(d string) { put(t, d, hf.WeightsFile, "x") },
		"file of tensor": func(d string) {
			shard(t, d, tiny(false))
			put(t, d, hf.IndexFile, `{"weight_map":{"a":"../../etc/passwd"}}`)
		},
		"no weight_map": func(d string) {
			shard(t, d, tiny(false))
			put(t, d, hf.IndexFile, `{}`)
		},
		"is not in part-0": func(d string) {
			shard(t, d, tiny(false))
			put(t, d, hf.IndexFile, `{"weight_map":{"lm_head.weight":"part-0.safetensors"}}`)
		},
		"embed_tokens.weight is missing": func(d string) {
			put(t, d, hf.WeightsFile, "\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
		},
	} {
		dir := write(t, false)
		spoil(dir)
		_, err := hf.Load(ctx, opener(t), dir)
		refuse(t, err, want)
	}
}

// The weights must be those of the configuration, no more and no less.
func TestTensorsMustFitConfig(t *testing.T) {
	for want, c := range map[string]struct{ weights, config *pb.ModelConfig }{
		"lm_head.weight is missing": {tiny(true), tiny(false)},
		"has shape [12 12]":         {tiny(false), reheaded(4)},
		"model.layers.1":            {tiny(false), shallow()},
	} {
		dir := t.TempDir()
		if err := hf.Write(ctx, opener(t), dir, c.weights, sources(c.weights), nil); err != nil {
			t.Fatal(err)
		}
		data, err := hf.EncodeConfig(c.config, safetensors.F32)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, hf.ConfigFile, string(data))
		_, err = hf.Load(ctx, opener(t), dir)
		refuse(t, err, want)
	}
}

// A copy of the embedding in a tied model is redundant; another matrix is a contradiction.
func TestTiedCopyMustBeEqual(t *testing.T) {
	for _, same := range []bool{true, false} {
		dir, cfg := t.TempDir(), tiny(false)
		tensors := sources(cfg)
		if same {
			tensors[len(tensors)-1].Read = tensors[0].Read
		}
		if err := hf.Write(ctx, opener(t), dir, cfg, tensors, nil); err != nil {
			t.Fatal(err)
		}
		data, err := hf.EncodeConfig(tiny(true), safetensors.F32)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, hf.ConfigFile, string(data))
		_, err = hf.Load(ctx, opener(t), dir)
		if same && err != nil {
			t.Error(err)
		} else if !same {
			refuse(t, err, "differs from model.embed_tokens.weight")
		}
	}
}

func reheaded(kv uint32) *pb.ModelConfig {
	cfg := tiny(false)
	cfg.KvHeads = kv
	return cfg
}

func shallow() *pb.ModelConfig {
	cfg := tiny(false)
	cfg.Layers = 1
	return cfg
}
