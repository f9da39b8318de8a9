package hf

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/worker/model"
)

// TensorSource yields one tensor of an export.
type TensorSource struct {
	Name  string
	Shape []int
	// Read fills dst, which holds all elements in row-major order. Called once, in order.
	Read func(ctx context.Context, dst []float32) error
}

// Format is how an export's weights are stored. The zero value is F32 in files of 5 GB.
type Format struct {
	DType safetensors.DType // F32 (also "") or BF16, rounded to the nearest
	// ShardBytes is the most bytes of tensors in one file, unless one tensor alone is larger.
	// 0: defaultShardBytes.
	ShardBytes int64
}

// defaultShardBytes is what transformers 4 splits at.
const defaultShardBytes = 5_000_000_000

// Write is WriteAs in F32.
func Write(ctx context.Context, op store.Opener, destURI string, cfg *pb.ModelConfig,
	tensors []TensorSource, extra map[string][]byte) error {
	return WriteAs(ctx, op, destURI, cfg, tensors, extra, Format{})
}

// WriteAs makes a folder that transformers' AutoModelForCausalLM loads: config.json, the weights in
// model.safetensors, or in several files with an index, and the extra files (a tokenizer's) by
// name. The tensors must be those of the model, and finite. Memory holds one tensor at a time; each
// file of weights passes through a temporary file. config.json is written last: a folder that has
// one is complete. Files already there are replaced, weights of an older export removed.
func WriteAs(ctx context.Context, op store.Opener, destURI string, cfg *pb.ModelConfig,
	tensors []TensorSource, extra map[string][]byte, f Format) error {
	if f.DType == "" {
		f.DType = safetensors.F32
	}
	if f.ShardBytes <= 0 {
		f.ShardBytes = defaultShardBytes
	}
	w := writer{ctx: ctx, op: op, uri: strings.TrimRight(destURI, "/"), format: f}
	if err := w.write(cfg, tensors, extra); err != nil {
		return fmt.Errorf("write model %s: %w", destURI, err)
	}
	return nil
}

type writer struct {
	ctx    context.Context // of this one WriteAs
	op     store.Opener
	uri    string
	format Format
}

func (w *writer) write(cfg *pb.ModelConfig, tensors []TensorSource, extra map[string][]byte) error {
	if err := checkSources(cfg, tensors); err != nil {
		return err
	}
	config, err := EncodeConfig(cfg, w.format.DType)
	if err != nil {
		return err
	}
	for name := range extra {
		if !plainName(name) || name == ConfigFile || name == IndexFile || isWeights(name) {
			return fmt.Errorf("extra file %q: want a plain name that no other file has", name)
		}
	}
	if err := w.deleteOld(); err != nil {
		return err
	}
	if err := w.putWeights(tensors); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if err := w.put(name, bytes.NewReader(extra[name]), int64(len(extra[name]))); err != nil {
			return err
		}
	}
	return w.put(ConfigFile, bytes.NewReader(config), int64(len(config)))
}

// checkSources fails unless the sources are exactly the model's parameters.
func checkSources(cfg *pb.ModelConfig, tensors []TensorSource) error {
	if err := model.Check(cfg); err != nil {
		return err
	}
	want := make(map[string][]int)
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			want[p.Name] = p.Shape
		}
	}
	for _, t := range tensors {
		shape, ok := want[t.Name]
		if !ok {
			return fmt.Errorf("tensor %q is not one of the model's, or comes twice", t.Name)
		}
		if !slices.Equal(shape, t.Shape) {
			return fmt.Errorf("tensor %s has shape %v, the model has %v", t.Name, t.Shape, shape)
		}
		delete(want, t.Name)
	}
	if len(want) > 0 {
		return fmt.Errorf("tensor %s is missing", slices.Min(slices.Collect(maps.Keys(want))))
	}
	return nil
}

// deleteOld marks the folder incomplete while an older export in it is replaced, and removes the
// weights of older ones: readers prefer a single file to an index, so that a stale one would win.
func (w *writer) deleteOld() error {
	bucket, key, err := w.op.Open(w.uri + "/" + ConfigFile)
	if err != nil {
		return err
	}
	_, missing := bucket.Stat(w.ctx, key)
	if missing == nil {
		if err := bucket.Delete(w.ctx, key); err != nil {
			return err
		}
	}
	folder := strings.TrimSuffix(key, ConfigFile)
	old, err := bucket.List(w.ctx, folder+"model")
	if err != nil && missing == nil {
		return fmt.Errorf("list the older export: %w", err)
	} // else a folder not made yet; what is wrong beyond that, put will meet
	for _, info := range old {
		name := strings.TrimPrefix(info.Key, folder)
		if name != IndexFile && !isWeights(name) {
			continue
		}
		if err := bucket.Delete(w.ctx, info.Key); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) put(name string, body io.ReadSeeker, size int64) error {
	bucket, key, err := w.op.Open(w.uri + "/" + name)
	if err != nil {
		return err
	}
	if _, err := bucket.Put(w.ctx, key, body, size, false); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}
