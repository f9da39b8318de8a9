package kernels

import (
	"math"

	"github.com/banyan-train/banyan/gpu/cuda"
)

// The arguments of kernels, field by field as the .cu files have them. gpu/cuda compares the sizes
// where the driver tells the kernel's.

type fillArgs struct {
	y     cuda.Addr
	n     int64
	value uint32
}

type copyArgs struct {
	y, x cuda.Addr
	n    int64
}

type addArgs struct {
	y, a, b cuda.Addr
	n       int64
}

type sumArgs struct {
	y       cuda.Addr
	part    [MaxParts]cuda.Addr
	program uint64
	n       int64
	steps   uint64
}

type squaresArgs struct {
	sums, x  cuda.Addr
	n, chunk int64
}

func floatBits(v float32) uint32 { return math.Float32bits(v) }
