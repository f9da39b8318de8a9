// Package fake builds an NCCL for tests: a libnccl of our own with the real ABI, for ranks that are
// processes or threads of one, on a host without GPUs.
//
// It owns its sources in C (src/): communicators over unix sockets, operations that run as host
// functions on the streams of the fake libcuda beside it (gpu/fake), the ways in which the real one
// is strict, and faults by the environment (src/faults.c). Only tests import it.
//
//	dir := cudafake.Build(t, cudafake.Options{Faults: "devices 4"})
//	fake.Build(t, dir)
//	lib, err := nccl.Open(gpu.Search{Named: []string{dir}}, nil)
package fake
