package kernel

import (
	"fmt"
	"math"
)

// DType is the storage type of a buffer's elements.
type DType uint8

const (
	F32 DType = iota + 1
	I32
	BF16 // the upper half of a F32, rounded to nearest even
)

// Size is the number of bytes of one element.
func (d DType) Size() int {
	if d == BF16 {
		return 2
	}
	return 4
}

// Addr is a device address. On the CPU backend it is a plain C pointer.
type Addr uintptr

// Tensor is a range of n contiguous elements in device memory. It is a view: it owns nothing.
// Shapes belong to the ops; a Tensor only knows how much there is.
type Tensor struct {
	Addr  Addr
	Len   int // elements
	DType DType
}

// Slice is the view of elements [lo, hi).
func (t Tensor) Slice(lo, hi int) Tensor {
	if lo < 0 || hi < lo || hi > t.Len {
		panic(fmt.Sprintf("kernel: slice [%d,%d) of a tensor of %d", lo, hi, t.Len))
	}
	return Tensor{Addr: t.Addr + Addr(lo*t.DType.Size()), Len: hi - lo, DType: t.DType}
}

// Words is the same memory as a F32 tensor, for moving bytes. The bytes of t must be whole words.
func (t Tensor) Words() Tensor {
	if t.Len*t.DType.Size()%4 != 0 {
		panic(fmt.Sprintf("kernel: %d elements of dtype %d are not whole words", t.Len, t.DType))
	}
	return Tensor{Addr: t.Addr, Len: t.Len * t.DType.Size() / 4, DType: F32}
}

// IsZero reports whether t refers to nothing.
func (t Tensor) IsZero() bool { return t.Addr == 0 }

// ToBF16 rounds x to a bfloat16, to nearest even. A NaN stays one.
func ToBF16(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// FromBF16 is the value of a bfloat16, exactly.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
