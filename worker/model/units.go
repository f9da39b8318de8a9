package model

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Chunk is the number of elements that units are padded to a multiple of: shard boundaries and the
// partial sums of the gradient norm lie on it.
const Chunk = 16384

// Param is one tensor inside a unit.
type Param struct {
	Name   string // Hugging Face tensor name
	Shape  []int  // row-major; matrices are [out, in]
	Offset int    // elements inside the unit
	Decay  bool   // weight decay applies: matrices yes, norms no
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

// The order of a block's parameters; indices into Unit.Params.
const (
	pNorm1 = iota
	pQ
	pK
	pV
	pO
	pNorm2
	pGate
	pUp
	pDown
)

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
		block := unitBuilder{unit: Unit{Name: fmt.Sprintf("block.%d", i)}}
		prefix := fmt.Sprintf("model.layers.%d.", i)
		block.add(prefix+"input_layernorm.weight", d.c)
		block.add(prefix+"self_attn.q_proj.weight", d.h*d.d, d.c)
		block.add(prefix+"self_attn.k_proj.weight", d.k*d.d, d.c)
		block.add(prefix+"self_attn.v_proj.weight", d.k*d.d, d.c)
		block.add(prefix+"self_attn.o_proj.weight", d.c, d.h*d.d)
		block.add(prefix+"post_attention_layernorm.weight", d.c)
		block.add(prefix+"mlp.gate_proj.weight", d.f, d.c)
		block.add(prefix+"mlp.up_proj.weight", d.f, d.c)
		block.add(prefix+"mlp.down_proj.weight", d.c, d.f)
		units = append(units, block.done())
	}
	head := unitBuilder{unit: Unit{Name: "head"}}
	head.add("model.norm.weight", d.c)
	if !d.tied {
		head.add("lm_head.weight", d.v, d.c)
	}
	return append(units, head.done())
}

// ParameterCount is the number of parameters, padding not counted.
func ParameterCount(cfg *pb.ModelConfig) uint64 {
	var n uint64
	for _, u := range Units(cfg) {
		n += uint64(u.used())
	}
	return n
}
