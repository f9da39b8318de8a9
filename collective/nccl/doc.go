// Package nccl is the collective backend for GPUs: NCCL moves the bytes, package tree says in which
// order they are added.
//
// It owns NCCL's interface as far as Banyan uses it (abi.h and table.h, declared by hand), the
// loading of the library with its gates (Open), a communicator of device memory (Comm) and the
// Group over it. It never decides who is in a generation, and never repairs: the first failure
// ends a Group, and a new generation makes a new one, from a fresh unique id.
//
//	lib, err := nccl.Open(gpu.NewSearch(""), map[string]string{"NCCL_IB_HCA": "mlx5"})
//	g, err := nccl.Join(ctx, nccl.Config{Library: lib, Device: dev, Control: mesh})
//	h := g.AllGather(dst, counts, src)
//
// # Two planes
//
// NCCL compares nothing: ranks that call with other counts hang or read garbage, and the death of a
// peer may never be told. So a Group stands on a control group of the same ranks (Control, which
// tcp.Group is). The unique id travels over it; every operation is announced on it, pair by pair,
// with its kind and counts, while the data already move; and it tells an abort, with its cause, and
// the death of a process. An operation is done when its data are here and all ranks agreed on it.
// Vectors of bytes and barriers go over the control group alone: they are small and on the host.
//
// # Host memory
//
// The contract of collective.Group is on slices of the host. They are copied through pinned buffers
// of a fixed size, two of them, so that the copies of one chunk overlap the moving of the other; an
// operation of any size takes no more. A chunk is whole pieces (collective.PieceElements) of each
// pair, and what arrives goes piece by piece to its place, or to the caller of AllToAllFunc,
// straight from the pinned buffer. NCCL and the device never touch the slices themselves: so Wait
// gives them back at once after an abort, even if that hangs. What is on the device already goes
// through Comm, whose operations are commands among those of the device's lists.
//
// # Threads
//
// All calls that put work on the device are made by its thread, in the order of the operations.
// NCCL is non-blocking everywhere: a call that takes long is waited for by looking at its state,
// and at the flag that stops it. An abort runs on a thread of its own, when nobody is
// inside of NCCL.
//
// # Failures
//
// Everything has a deadline. A Group dies of: an asynchronous error of NCCL, an operation that all
// ranks announced and that does not move for OpTimeout, an operation that a rank does not announce
// (the control group's own watch), a lost peer, and Abort. Then all operations fail with the cause,
// peers are told, and the communicators of the group are aborted in one NCCL group. An abort that
// does not come back within AbortTimeout is reported by Close (ErrAbortHangs): NCCL may then hold
// the device's memory and thread, and the process must end. The worker's SIGKILL is that last
// stage.
//
// Invariants: I3 (bytes arrive as sent or not at all; the ordered sum on the device has the bits of
// the host's), I8 (Abort is immediate).
package nccl
