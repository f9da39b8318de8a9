// Package kernels holds our CUDA kernels and puts launches of them into lists of commands.
//
// It owns their sources (*.cu, embedded; prelude.h comes before each), the layout of their
// arguments, and the sizes of grids. It never issues work: lists are run by gpu/cuda. A kernel
// knows nothing of models.
//
//	set, err := kernels.Load(ctx, dev, supply)
//	set.AddF32(l, cuda.Scatter, y, a, b, n)     // a command more in l
//
// Bits (I3). Every element has one writer, every sum one order, nothing is contracted, and there
// are no atomics; so results do not depend on the device, the grid or what else runs. They are
// those of worker/kernel/cpu: of all its classes for fill, copy, cast and add (NaNs as x86 has
// them; of two the left), of avx512 and amx for sums of squares. Tests compile the same text for
// the host and compare with that and with plain Go (gpu/kernels/twin).
package kernels
