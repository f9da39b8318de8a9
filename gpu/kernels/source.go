package kernels

import (
	_ "embed" // the sources

	"github.com/banyan-train/banyan/gpu/nvrtc"
)

//go:embed prelude.h
var prelude string

//go:embed elementwise.cu
var elementwise string

//go:embed reduce.cu
var reduce string

// Sources lists what there is to compile.
func Sources() []nvrtc.Source {
	return []nvrtc.Source{
		{Name: "elementwise.cu", Text: prelude + elementwise},
		{Name: "reduce.cu", Text: prelude + reduce},
	}
}

// names are the kernels of each source, in its order.
var names = map[string][]string{
	"elementwise.cu": {"fill_f32", "fill_bf16", "copy_f32", "copy_bf16", "narrow_f32",
		"widen_bf16", "add_f32", "add_bf16"},
	"reduce.cu": {"sum_parts_f32", "sum_squares_f32"},
}
