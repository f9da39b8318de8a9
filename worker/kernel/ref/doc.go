// Package ref is the plain twin of every kernel: a kernel.Backend in Go without tricks.
//
// It owns the meaning of the ops: each one is a function of a few loops, with float64 arithmetic
// and one rounding to the storage type at the end. Other backends are tested against it, and the
// model can be tested on it where no C compiler is at hand. It is never used to train: it is single
// threaded and slow.
//
// The functions are generic over the storage type. Storage float32 is the Backend; storage float64
// makes the same text precise enough for central finite differences, which is how the gradients
// are proved (the tests here and in kernel/cpu).
//
// Legend as in package kernel: R rows, C hidden, T positions, H heads, K kv heads, D head size, V
// vocabulary. All operands are row-major and as long as the constructor in kernel/ops.go says.
package ref
