package hf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/worker/model"
)

// isWeights recognises the names that weights have in an export.
func isWeights(name string) bool {
	numbered, err := path.Match("model-[0-9]*-of-[0-9]*.safetensors", name)
	return name == WeightsFile || numbered && err == nil
}

// ParseFormat reads the name of a format on a command line: fp32 or bf16.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "fp32":
		return Format{DType: safetensors.F32}, nil
	case "bf16":
		return Format{DType: safetensors.BF16}, nil
	}
	return Format{}, fmt.Errorf("%q is not a type of exported weights; want fp32 or bf16", name)
}

// bytesOf is the size of a tensor in a file.
func (f Format) bytesOf(t TensorSource) int64 {
	return int64(model.Param{Shape: t.Shape}.Len()) * f.DType.Size()
}

// split deals the tensors to files in order: a file is full when the next tensor would make it
// larger than ShardBytes.
func (f Format) split(tensors []TensorSource) [][]TensorSource {
	var files [][]TensorSource
	var used int64
	for _, t := range tensors {
		n := f.bytesOf(t)
		if len(files) == 0 || used+n > f.ShardBytes {
			files, used = append(files, nil), 0
		}
		files[len(files)-1] = append(files[len(files)-1], t)
		used += n
	}
	return files
}

// indexJSON is a model.safetensors.index.json.
type indexJSON struct {
	Metadata struct {
		Parameters int64 `json:"total_parameters"`
		Size       int64 `json:"total_size"` // bytes of all tensors
	} `json:"metadata"`
	Files map[string]string `json:"weight_map"`
}

func (w *writer) putWeights(tensors []TensorSource) error {
	files := w.format.split(tensors)
	if len(files) == 1 {
		return w.putFile(WeightsFile, files[0])
	}
	index := indexJSON{Files: make(map[string]string)}
	for i, part := range files {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(files))
		if err := w.putFile(name, part); err != nil {
			return err
		}
		for _, t := range part {
			index.Files[t.Name] = name
			index.Metadata.Size += w.format.bytesOf(t)
			index.Metadata.Parameters += w.format.bytesOf(t) / w.format.DType.Size()
		}
	}
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", IndexFile, err)
	}
	return w.put(IndexFile, bytes.NewReader(append(data, '\n')), int64(len(data))+1)
}

// putFile spools tensors to a temporary file, since a store wants size and body at once.
func (w *writer) putFile(name string, tensors []TensorSource) error {
	spool, err := os.CreateTemp("", "banyan-export-*.safetensors")
	if err != nil {
		return fmt.Errorf("make temporary file: %w", err)
	}
	defer func() {
		spool.Close() // only read from by now; what matters was checked
		os.Remove(spool.Name())
	}()
	size, err := w.spool(spool, tensors)
	if err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool weights: %w", err)
	}
	return w.put(name, spool, size)
}

func (w *writer) spool(to io.Writer, tensors []TensorSource) (int64, error) {
	specs := make([]safetensors.Spec, len(tensors))
	for i, t := range tensors {
		specs[i] = safetensors.Spec{Name: t.Name, DType: w.format.DType, Shape: t.Shape}
	}
	out := bufio.NewWriterSize(to, 1<<20)
	st, err := safetensors.NewWriter(out, specs, map[string]string{"format": "pt"})
	if err != nil {
		return 0, err
	}
	var buf []float32
	for _, t := range tensors {
		n := model.Param{Shape: t.Shape}.Len()
		if cap(buf) < n {
			buf = make([]float32, n)
		}
		if err := t.Read(w.ctx, buf[:n]); err != nil {
			return 0, fmt.Errorf("read tensor %s: %w", t.Name, err)
		}
		if i, ok := firstNonFinite(buf[:n], w.format.DType); ok {
			return 0, fmt.Errorf("tensor %s: element %d is %v, which is no weight in %s; export an "+
				"earlier checkpoint", t.Name, i, buf[i], w.format.DType)
		}
		if err := st.Write(buf[:n]); err != nil {
			return 0, fmt.Errorf("spool tensor %s: %w", t.Name, err)
		}
	}
	if err := st.Close(); err != nil {
		return 0, err
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("spool weights: %w", err)
	}
	return st.Size(), nil
}
