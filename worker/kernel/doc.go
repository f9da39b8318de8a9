// Package kernel is the contract between the model and the device that computes it.
//
// The model never calls a device function. It builds a Program, a list of Ops over Tensors, once
// per unit and shape, and hands it to a Backend, which runs it in order in one call. That is one
// cgo call a unit on the CPU and one command list (later one graph) on a GPU.
//
// Ops are made by the constructors in ops.go only; they check every shape and range, so a backend
// may trust its operands. Shapes are row-major; the legend used throughout:
//
//	B sequences   T positions   R = B*T rows   C hidden size   H query heads   K kv heads
//	D head size   F ffn size    V vocabulary
//
// Invariant (I3): for one backend, ISA class and Program, results are the same bits for any thread
// count. No op splits a reduction over threads; every reduction has one fixed order.
package kernel
