// Package cpu runs kernel programs on the cores of this host: C through cgo, one call a program.
//
// It owns the CPU kernels, a pool of threads and the memory of each backend, and the choice of ISA
// class at run time: "amx" (avx512, and products of bfloat16 on tiles), "avx512", "avx2" (with
// FMA), "neon" (arm64), "generic" (any 64-bit host). One build has all of its architecture.
// It never decides what is computed: that is package kernel, whose plain twin is kernel/ref.
//
//	be, err := cpu.New(cpu.Options{Threads: 2})
//	defer be.Close()
//	x, err := be.Alloc(n, kernel.F32)
//	err = be.Run([]kernel.Op{kernel.Fill(x, 1)})
//
// Bits. Within one class results are the same for any number of threads and on any host (I3): the
// cut of the work depends on shapes only, a sum is never split over threads, exp and log are ours,
// multiply-adds are explicit, and nothing is contracted by the compiler. Two classes differ in the
// width of their sums, so a run pins its class; Name says it.
//
// BF16 operands are widened where they are read, which is exact, computed with in float32, and
// rounded once, to nearest even, where they are stored: the same rounding bits in every class.
//
// The environment variable BANYAN_ISA restricts a process to one class.
//
// A NaN operand gives NaN results. In attention a NaN in a key or value that is masked may also
// reach rows of the same tile that do not see it.
//
// Class amx has not run on hardware with tiles yet: its source is tested over an emulation of tiles
// in C (class_amx_emulated.c), and the instructions themselves are only compiled. BANYAN_ISA=avx512
// avoids it. A host serves it only if a product of tiles comes out right in a child process.
//
// Files: ops.h (the command shared with Go), engine (threads, scratch, the program loop), isa.c
// (detection), vec_*.h (the vector type of a class), gemm*.h, amx.h, attention*.h, norm.h, loss.h,
// elementwise.h (kernels over that type), class_*.c (the kernels compiled for one class each).
package cpu
