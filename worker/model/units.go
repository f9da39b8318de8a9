package model

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Chunk is the number of elements that units are padded to a multiple of: shard boundaries and the
// partial sums of the gradient norm lie on it.
const Chunk = 16384

// Param is one tensor inside a unit.
type Param struct {
	Name   string // Hugging Face tensor name
	Shape  []int  // row-major; matrices are [out, in]
	Offset int    // elements inside the unit
	Decay  bool   // weight decay applies: matrices yes, norms and biases no
}

// Len is the number of elements.
func (p Param) Len() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Unit is a sharding unit of the model. Its parameters lie end to end.
type Unit struct {
	Name   string
	Params []Param
	Size   int // elements, a multiple of Chunk; the padding after the last parameter stays 0
}

// used is the number of elements before the padding.
func (u Unit) used() int {
	last := u.Params[len(u.Params)-1]
	return last.Offset + last.Len()
}

// unitBuilder lays parameters end to end.
type unitBuilder struct {
	unit Unit
	at   int
}

func (b *unitBuilder) add(name string, shape ...int) {
	p := Param{Name: name, Shape: shape, Offset: b.at, Decay: len(shape) > 1}
	b.at += p.Len()
	b.unit.Params = append(b.unit.Params, p)
}

func (b *unitBuilder) done() Unit {
	b.unit.Size = (b.at + Chunk - 1) / Chunk * Chunk
	return b.unit
}

// Units lists the model's units in the order of the forward pass: "embed", "block.0" and so on,
// and last "head" (the final norm, and the head's matrix unless it is the embedding's).
// The configuration must be valid (Check).
func Units(cfg *pb.ModelConfig) []Unit {
	d := dims(cfg)
	units := make([]Unit, 0, d.layers+2)
	embed := unitBuilder{unit: Unit{Name: "embed"}}
	embed.add("model.embed_tokens.weight", d.v, d.c)
	units = append(units, embed.done())
	for i := range d.layers {
		units = append(units, blockUnit(d, i))
	}
	head := unitBuilder{unit: Unit{Name: "head"}}
	head.add("model.norm.weight", d.c)
	if !d.tied {
		head.add("lm_head.weight", d.v, d.c)
	}
	return append(units, head.done())
}

// blockUnit lists the parameters of block i. Package model reads them by this order: weights.
func blockUnit(d sizes, i int) Unit {
	b := unitBuilder{unit: Unit{Name: fmt.Sprintf("block.%d", i)}}
	prefix := fmt.Sprintf("model.layers.%d.", i)
	b.add(prefix+"input_layernorm.weight", d.c)
	b.add(prefix+"self_attn.q_proj.weight", d.h*d.d, d.c)
	b.add(prefix+"self_attn.k_proj.weight", d.k*d.d, d.c)
	b.add(prefix+"self_attn.v_proj.weight", d.k*d.d, d.c)
	b.add(prefix+"self_attn.o_proj.weight", d.c, d.h*d.d)
	b.add(prefix+"post_attention_layernorm.weight", d.c)
	b.add(prefix+"mlp.gate_proj.weight", d.f, d.c)
	b.add(prefix+"mlp.up_proj.weight", d.f, d.c)
	b.add(prefix+"mlp.down_proj.weight", d.c, d.f)
	if d.qkvBias {
		b.add(prefix+"self_attn.q_proj.bias", d.h*d.d)
		b.add(prefix+"self_attn.k_proj.bias", d.k*d.d)
		b.add(prefix+"self_attn.v_proj.bias", d.k*d.d)
	}
	if d.qkNorm {
		b.add(prefix+"self_attn.q_norm.weight", d.d)
		b.add(prefix+"self_attn.k_norm.weight", d.d)
	}
	return b.done()
}

// weights are a block's parameters, or their gradients, as Units lays them out.
type weights struct {
	norm1, q, k, v, o     kernel.Tensor
	norm2, gate, up, down kernel.Tensor
	qBias, kBias, vBias   kernel.Tensor // zero unless the family has them, as are the next
	qNorm, kNorm          kernel.Tensor
}

// weights cuts a block's flat tensor.
func (m *Model) weights(unit int, flat kernel.Tensor) weights {
	p := m.view(unit, flat)
	w := weights{norm1: p[0], q: p[1], k: p[2], v: p[3], o: p[4], norm2: p[5], gate: p[6], up: p[7],
		down: p[8]}
	p = p[9:]
	if m.d.qkvBias {
		w.qBias, w.kBias, w.vBias = p[0], p[1], p[2]
		p = p[3:]
	}
	if m.d.qkNorm {
		w.qNorm, w.kNorm = p[0], p[1]
	}
	return w
}

// ParameterCount is the number of parameters, padding not counted.
func ParameterCount(cfg *pb.ModelConfig) uint64 {
	var n uint64
	for _, u := range Units(cfg) {
		n += uint64(u.used())
	}
	return n
}
