package probe

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/checkpoint/hf"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// Options say how to compute. The zero value is fp32.
type Options struct {
	Precision kernel.DType // F32 (also if 0) or BF16
}

// ParsePrecision reads the name of a precision on a command line: fp32 or bf16.
func ParsePrecision(name string) (Options, error) {
	switch name {
	case "fp32":
		return Options{Precision: kernel.F32}, nil
	case "bf16":
		return Options{Precision: kernel.BF16}, nil
	}
	return Options{}, fmt.Errorf("%q is not a precision; want fp32 or bf16", name)
}

// Model is a model with all its parameters in the backend's memory. It belongs to one goroutine,
// like its backend.
type Model struct {
	cfg    *pb.ModelConfig
	be     kernel.Backend
	opt    model.Options
	params []kernel.Tensor // of each unit
}

// Load reads all weights of a folder. They stay until the backend is closed.
func Load(ctx context.Context, folder *hf.Folder, be kernel.Backend, opt Options) (*Model, error) {
	if opt.Precision == 0 {
		opt.Precision = kernel.F32
	}
	m := &Model{cfg: folder.Config(), be: be, opt: model.Options{Precision: opt.Precision}}
	for _, u := range model.Units(m.cfg) {
		x, err := m.load(ctx, folder, u)
		if err != nil {
			return nil, fmt.Errorf("load unit %s: %w", u.Name, err)
		}
		params := x
		if opt.Precision == kernel.BF16 {
			if params, err = m.round(x); err != nil {
				return nil, fmt.Errorf("load unit %s: %w", u.Name, err)
			}
		}
		m.params = append(m.params, params)
	}
	return m, nil
}

// load reads a unit in F32.
func (m *Model) load(ctx context.Context, folder *hf.Folder, u model.Unit) (kernel.Tensor, error) {
	x, err := m.be.Alloc(u.Size, kernel.F32)
	if err != nil {
		return x, err
	}
	host := m.be.Host(x)
	for _, p := range u.Params {
		if err := folder.Read(ctx, p.Name, 0, p.Len(), host[p.Offset:p.Offset+p.Len()]); err != nil {
			return x, err
		}
	}
	return x, nil
}

// round replaces a F32 tensor by its BF16 values.
func (m *Model) round(x kernel.Tensor) (kernel.Tensor, error) {
	defer m.be.Free(x)
	half, err := m.be.Alloc(x.Len, kernel.BF16)
	if err != nil {
		return half, err
	}
	return half, m.be.Run([]kernel.Op{kernel.Copy(half, x)})
}

// head lists the parameters that the last unit reads.
func (m *Model) head(mm *model.Model) []kernel.Tensor {
	var out []kernel.Tensor
	for _, u := range mm.Needs(len(m.params) - 1) {
		out = append(out, m.params[u])
	}
	return out
}

// forward computes all units but the last.
func (m *Model) forward(mm *model.Model) error {
	for u := range m.params[:len(m.params)-1] {
		if err := mm.Forward(u, m.params[u:u+1]); err != nil {
			return err
		}
	}
	return nil
}

// Logits evaluates one sequence: [len(ids),V], row by row.
func (m *Model) Logits(ids []int32) ([]float32, error) {
	if err := m.check(ids); err != nil {
		return nil, fmt.Errorf("compute logits: %w", err)
	}
	mm, err := model.New(m.cfg, model.Shape{Batch: 1, SeqLen: len(ids)}, m.be, m.opt)
	if err != nil {
		return nil, fmt.Errorf("compute logits: %w", err)
	}
	defer mm.Close()
	in := mm.Inputs()
	copy(in.Tokens, ids)
	for i := range ids {
		in.Pos[i], in.First[i], in.Targets[i] = int32(i), 0, -1
	}
	if err := m.forward(mm); err != nil {
		return nil, fmt.Errorf("compute logits: %w", err)
	}
	return mm.Logits(m.head(mm))
}

// check fails on ids that the model has no embedding for, and on none at all.
func (m *Model) check(ids []int32) error {
	if len(ids) == 0 {
		return fmt.Errorf("no token ids")
	}
	for i, id := range ids {
		if id < 0 || id >= int32(m.cfg.VocabSize) {
			return fmt.Errorf("token id %d (number %d) is not in the vocabulary of %d", id, i+1,
				m.cfg.VocabSize)
		}
	}
	return nil
}
