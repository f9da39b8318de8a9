// Command gpucheck checks a GPU: scripts/gpu-check.sh runs it, tests run it over the fake driver.
//
// It owns a run on the hardware: what libraries there are, our kernels against their plain twins
// (gpu/kernels/twin) on fresh random data with poisoned outputs, their speed against a copy by the
// driver in the same run, and NCCL where there is one: with one rank, and with two, of which one
// then does not come, so that an abort is timed. It prints a table and writes
// JSON; it never decides what is right.
//
//	gpucheck [-json FILE] [-elements N] [-bytes N] [-seed N] [-cuda-path DIR]
//
// Exit codes: 0 all is well, 1 something is not, 3 there is no GPU here.
package main
