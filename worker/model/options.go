package model

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Options say how a model computes, not what. The zero value is fp32 without recomputation.
type Options struct {
	// Precision is the type of the parameters that are handed in, F32 (also if 0) or BF16.
	Precision kernel.DType
	// Recompute is what Backward computes again rather than keep it. It changes no bit.
	Recompute pb.Recompute
}

// OptionsOf are the options of a run.
func OptionsOf(t *pb.Train) Options {
	o := Options{Precision: kernel.F32, Recompute: t.GetRecompute()}
	if t.GetPrecision() == pb.Precision_BF16 {
		o.Precision = kernel.BF16
	}
	return o
}

// resolved has every field set, or an error for values that nobody can mean.
func (o Options) resolved() (Options, error) {
	if o.Precision == 0 {
		o.Precision = kernel.F32
	}
	if o.Recompute == pb.Recompute_RECOMPUTE_UNSPECIFIED {
		o.Recompute = pb.Recompute_NONE
	}
	if o.Precision != kernel.F32 && o.Precision != kernel.BF16 {
		return o, fmt.Errorf("precision is dtype %d: want float32 or bfloat16", o.Precision)
	}
	switch o.Recompute {
	case pb.Recompute_NONE, pb.Recompute_ATTENTION, pb.Recompute_FULL:
		return o, nil
	}
	return o, fmt.Errorf("recompute is %s: want none, attention or full", o.Recompute)
}
