package hf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// The files of a folder.
const (
	ConfigFile  = "config.json"
	WeightsFile = "model.safetensors"
	IndexFile   = "model.safetensors.index.json"
)

// The largest files that are read whole, in bytes.
const (
	maxConfig = 1 << 20
	maxIndex  = 64 << 20
)

// Folder is a model folder whose configuration and headers have been read and checked. Safe for
// concurrent use.
type Folder struct {
	uri     string
	cfg     *pb.ModelConfig
	files   []*object
	list    string // URI of what lists the tensors: the weights' file, or the index
	tensors map[string]placed
}

// placed is a tensor and the file it is in.
type placed struct {
	safetensors.Tensor
	file *object
}

// Load reads config.json and the weights' headers, and checks that every tensor of the model is
// there with its shape, in F32, BF16 or F16. Weights stay in the store. Errors name the file, and
// the key or tensor.
func Load(ctx context.Context, op store.Opener, uri string) (*Folder, error) {
	f := &Folder{uri: strings.TrimRight(uri, "/"), tensors: make(map[string]placed)}
	if err := f.load(ctx, op); err != nil {
		return nil, fmt.Errorf("load model %s: %w", uri, err)
	}
	return f, nil
}

func (f *Folder) load(ctx context.Context, op store.Opener) error {
	config, err := f.open(ctx, op, ConfigFile)
	if err != nil {
		return err
	}
	data, err := config.readAll(ctx, maxConfig)
	if err != nil {
		return err
	}
	if f.cfg, err = ParseConfig(data); err != nil {
		return err
	}
	single, err := f.open(ctx, op, WeightsFile)
	switch {
	case err == nil:
		header, err := single.header(ctx)
		if err != nil {
			return err
		}
		f.list = single.uri
		for _, t := range header.Tensors {
			f.tensors[t.Name] = placed{t, single}
		}
	case errors.Is(err, store.ErrNotFound):
		if err := f.loadSharded(ctx, op); err != nil {
			return err
		}
	default:
		return err
	}
	if err := f.checkTensors(); err != nil {
		return err
	}
	return f.checkTied(ctx)
}

// loadSharded follows the index to the weights.
func (f *Folder) loadSharded(ctx context.Context, op store.Opener) error {
	index, err := f.open(ctx, op, IndexFile)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("neither %s nor %s is there (weights in other formats must be converted "+
			"first): %w", WeightsFile, IndexFile, err)
	} else if err != nil {
		return err
	}
	data, err := index.readAll(ctx, maxIndex)
	if err != nil {
		return err
	}
	names, err := parseIndex(data)
	if err != nil {
		return err
	}
	f.list = index.uri
	shards := make(map[string]*object)
	headers := make(map[string]*safetensors.Header)
	for _, m := range names { // in the order of the index, which pins the order of Files
		if shards[m.file] == nil {
			if shards[m.file], err = f.open(ctx, op, m.file); err != nil {
				return err
			}
			if headers[m.file], err = shards[m.file].header(ctx); err != nil {
				return err
			}
		}
		t, ok := headers[m.file].Lookup(m.tensor)
		if !ok {
			return fmt.Errorf("%s: tensor %.200q is not in %s; fetch the folder again", index.uri, m.tensor,
				m.file)
		}
		f.tensors[m.tensor] = placed{t, shards[m.file]}
	}
	for _, file := range slices.Sorted(maps.Keys(headers)) {
		for _, t := range headers[file].Tensors {
			if f.tensors[t.Name].file != shards[file] {
				return fmt.Errorf("%s: tensor %.200q is in %s, but the index does not say so; fetch the "+
					"folder again", index.uri, t.Name, file)
			}
		}
	}
	return nil
}

// mapping is one entry of an index.
type mapping struct{ tensor, file string }

// parseIndex reads a model.safetensors.index.json.
func parseIndex(data []byte) ([]mapping, error) {
	members, err := safetensors.Members(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", IndexFile, err)
	}
	i := slices.IndexFunc(members, func(m safetensors.Member) bool { return m.Name == "weight_map" })
	if i < 0 {
		return nil, fmt.Errorf("parse %s: no weight_map", IndexFile)
	}
	entries, err := safetensors.Members(members[i].Value)
	if err != nil {
		return nil, fmt.Errorf("parse %s: weight_map: %w", IndexFile, err)
	}
	out := make([]mapping, 0, len(entries))
	for _, e := range entries {
		var file string
		if err := json.Unmarshal(e.Value, &file); err != nil || !plainName(file) {
			return nil, fmt.Errorf("parse %s: file of tensor %.200q is %.200s, want the name of a file "+
				"in the same folder", IndexFile, e.Name, e.Value)
		}
		out = append(out, mapping{e.Name, file})
	}
	return out, nil
}

// plainName accepts a file name that stays in its folder.
func plainName(name string) bool {
	return name != "" && len(name) < 256 && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/\\\x00")
}

// Config is the model's configuration. The caller must not change it.
func (f *Folder) Config() *pb.ModelConfig { return f.cfg }

// Files lists everything that Load depended on, pinned: config.json, the index if there is one,
// and the weights.
func (f *Folder) Files() []*pb.PinnedFile {
	out := make([]*pb.PinnedFile, len(f.files))
	for i, o := range f.files {
		out[i] = &pb.PinnedFile{Uri: o.uri, Size: uint64(o.info.Size), Etag: o.info.ETag}
	}
	return out
}
