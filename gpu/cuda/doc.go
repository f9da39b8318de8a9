// Package cuda drives NVIDIA GPUs through the driver API (libcuda), found at run time.
//
// It owns the loading of libcuda, one primary context a device, its four streams, events, memory of
// the device and pinned memory of the host, modules of kernels, and the order in which work is
// issued. It never decides what is computed, and knows no kernel: that is gpu/kernels.
//
//	driver, err := cuda.Load(search)
//	dev, err := driver.Open(0, cuda.Options{})
//	x, err := dev.Alloc(n*4, "activations")
//	l := dev.NewList()                  // built once, run again and again
//	l.Fill32(cuda.Compute, x, 0, n)
//	l.Record(cuda.Compute, done)
//	err = dev.Run(ctx, l)               // issued, not done
//	err = dev.Wait(ctx, done)           // done
//
// One goroutine, locked to its thread, issues everything of a device (a channel hop costs a hundred
// times an empty cgo call, so work comes to it as whole lists of commands, in C memory):
//
//	Run, Wait, Alloc ..  --requests-->  device goroutine  --one cgo call a list-->  streams
//	                                    polls events while somebody waits, never blocks in CUDA
//
// Within a list commands are issued in order. A stream runs its own in order, streams run beside
// each other, and only Record and Await order one after another. Other libraries put their work
// among ours by Call, a C function that runs on the device's thread when its turn comes, and is
// given their own arguments: they find the stream by Device.Stream.
//
// Errors. An error of an asynchronous command surfaces later, at any call, and CUDA never works
// again in that process. So the first error that comes out of issued work ends the Device: every
// later call answers it, with what was issued. A rank then ends and is started anew; its exit frees
// what Close could not.
//
// Memory. Alloc keeps what it has once got from the driver, up to a budget; an error says what was
// asked, what is held and by whom. A freed piece is used again when what was issued before Free is
// done.
//
// Invariants: one thread issues; a Device that failed issues nothing; memory given out never
// overlaps (pool_test.go holds the last against random sequences).
package cuda
