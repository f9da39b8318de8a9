package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// DType is an element type by its name in the format.
type DType string

// The types that Decode converts.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// sizes of the element types that can be located, in bytes.
var sizes = map[DType]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
	"I16": 2, "U16": 2, F16: 2, BF16: 2,
	"I32": 4, "U32": 4, F32: 4,
	"I64": 8, "U64": 8, "F64": 8,
}

// Size is the number of bytes of one element; 0 for a type this package does not know.
func (d DType) Size() int64 { return sizes[d] }

// Decode converts len(dst) elements of type d from src, little-endian. BF16 and F16 convert
// exactly. It fails when d is none of F32, BF16, F16, or when src has another length.
func Decode(d DType, dst []float32, src []byte) error {
	if int64(len(src)) != int64(len(dst))*d.Size() {
		return fmt.Errorf("decode %d elements of %s: have %d bytes", len(dst), d, len(src))
	}
	switch d {
	case F32:
		decodeF32(dst, src)
	case BF16:
		decodeBF16(dst, src)
	case F16:
		for i := range dst {
			dst[i] = half(binary.LittleEndian.Uint16(src[2*i:]))
		}
	default:
		return fmt.Errorf("decode %s: want F32, BF16 or F16", d)
	}
	return nil
}

// hostIsLittleEndian is so on every machine that Banyan is known to run on.
var hostIsLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func decodeF32(dst []float32, src []byte) {
	if len(dst) > 0 && hostIsLittleEndian { // the same bytes: several times faster
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst)), src)
		return
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

// decodeBF16 takes four elements at a time: loads of two bytes are what would limit it.
func decodeBF16(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		d := dst[:4:4]
		d[0] = math.Float32frombits(uint32(w) << 16)
		d[1] = math.Float32frombits(uint32(w) &^ 0xffff)
		d[2] = math.Float32frombits(uint32(w>>32) << 16)
		d[3] = math.Float32frombits(uint32(w>>32) &^ 0xffff)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// half converts an IEEE 754 binary16.
func half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch {
	case exp == 0x1f: // infinity, or NaN with its payload
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
	}
	v := float32(frac) * (1.0 / (1 << 24)) // zero or subnormal: exact
	if sign != 0 {
		v = -v
	}
	return v
}

// EncodeF32 appends the little-endian bytes of src to dst.
func EncodeF32(dst []byte, src []float32) []byte {
	for _, x := range src {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// EncodeBF16 appends src in BF16, rounded to the nearest value, ties to the even one.
func EncodeBF16(dst []byte, src []float32) []byte {
	for _, x := range src {
		dst = binary.LittleEndian.AppendUint16(dst, bf16(x))
	}
	return dst
}

// bf16 rounds to the nearest BF16; a NaN stays one.
func bf16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // the payload may lie in the lost half
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
