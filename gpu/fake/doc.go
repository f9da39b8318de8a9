// Package fake builds GPU libraries for tests: a libcuda and a libnvrtc of our own with the real
// ABI, so that everything above them runs as it would on a GPU, on a host that has none.
//
// It owns their sources in C (src/) and the building. The memory of the device is memory of the
// host; streams are threads that do their work in order; a launch executes the kernel, compiled by
// the host's C compiler from the same source that a GPU gets, with its threads, barriers and
// shuffles emulated (src/emu.h). What the real libcuda leaves undefined, this one refuses
// (src/fake.h). Only tests import it; it is never a way to run without a GPU.
//
//	dir := fake.Build(t, fake.Options{Faults: "launch 2 700"})
//	driver, err := cuda.Load(gpu.Search{Named: []string{dir}})
//
// Each Build gives libraries of their own, with state and faults of their own (src/faults.c), which
// other processes may load from the same folder too.
package fake
