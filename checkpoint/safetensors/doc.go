// Package safetensors reads and writes the safetensors file format: the form of Hugging Face
// weights, and of this project's checkpoint objects.
//
//	+----------------+---------------------------+----------------------------+
//	| n: uint64 LE   | n bytes of JSON: name ->  | data: tensors end to end,  |
//	| (header bytes) | dtype, shape, [from, to)  | from counted from here     |
//	+----------------+---------------------------+----------------------------+
//
// It owns the format only. It never opens a file or a store: a reader brings a function that reads
// a byte range, a writer brings an io.Writer. It converts F32, BF16 and F16 to float32; tensors of
// other known types can be located but not converted.
//
// Reading is strict: the data must be covered by the tensors exactly, without holes or overlap,
// every size must be what dtype and shape say, and no name may appear twice. A file that two
// readers could understand differently is refused.
//
// Invariant (I13): no header, however hostile, panics, or costs more than MaxHeader bytes and a
// small multiple of it.
package safetensors
