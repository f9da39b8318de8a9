package hf

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
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

// Write makes a folder that transformers' AutoModelForCausalLM loads: config.json,
// model.safetensors in F32, and the extra files (a tokenizer's) by name. The tensors must be those
// of the model. Memory holds one tensor at a time; the weights pass through a temporary file.
// config.json is written last: a folder that has one is complete. Files already there are replaced.
func Write(ctx context.Context, op store.Opener, destURI string, cfg *pb.ModelConfig,
	tensors []TensorSource, extra map[string][]byte) error {
	w := writer{ctx: ctx, op: op, uri: strings.TrimRight(destURI, "/")}
	if err := w.write(cfg, tensors, extra); err != nil {
		return fmt.Errorf("write model %s: %w", destURI, err)
	}
	return nil
}

type writer struct {
	ctx context.Context // of this one Write
	op  store.Opener
	uri string
}

func (w *writer) write(cfg *pb.ModelConfig, tensors []TensorSource, extra map[string][]byte) error {
	if err := checkSources(cfg, tensors); err != nil {
		return err
	}
	config, err := EncodeConfig(cfg, safetensors.F32)
	if err != nil {
		return err
	}
	for name := range extra {
		if !plainName(name) || name == ConfigFile || name == WeightsFile || name == IndexFile {
			return fmt.Errorf("extra file %q: want a plain name that no other file has", name)
		}
	}
	if err := w.deleteConfig(); err != nil {
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

// putWeights spools the tensors to a temporary file, since a store wants size and body at once.
func (w *writer) putWeights(tensors []TensorSource) error {
	spool, err := os.CreateTemp("", "banyan-export-*.safetensors")
	if err != nil {
		return fmt.Errorf("make temporary file: %w", err)
	}
	defer func() {
		spool.Close() // only read from by now; what matters was checked
		os.Remove(spool.Name())
	}()
	specs := make([]safetensors.Spec, len(tensors))
	for i, t := range tensors {
		specs[i] = safetensors.Spec{Name: t.Name, DType: safetensors.F32, Shape: t.Shape}
	}
	out := bufio.NewWriterSize(spool, 1<<20)
	st, err := safetensors.NewWriter(out, specs, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	var buf []float32
	for _, t := range tensors {
		n := model.Param{Shape: t.Shape}.Len()
		if cap(buf) < n {
			buf = make([]float32, n)
		}
		if err := t.Read(w.ctx, buf[:n]); err != nil {
			return fmt.Errorf("read tensor %s: %w", t.Name, err)
		}
		if err := st.WriteF32(buf[:n]); err != nil {
			return fmt.Errorf("spool tensor %s: %w", t.Name, err)
		}
	}
	if err := st.Close(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("spool weights: %w", err)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool weights: %w", err)
	}
	return w.put(WeightsFile, spool, st.Size())
}

// deleteConfig marks the folder incomplete while an older export in it is replaced.
func (w *writer) deleteConfig() error {
	bucket, key, err := w.op.Open(w.uri + "/" + ConfigFile)
	if err != nil {
		return err
	}
	if _, err := bucket.Stat(w.ctx, key); err != nil {
		return nil // none, or a folder not made yet; what is wrong beyond that, put will meet
	}
	return bucket.Delete(w.ctx, key)
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
