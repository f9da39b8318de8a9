package cuda

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/banyan-train/banyan/gpu"
)

// Stream is one of a device's queues of work.
type Stream int

// The streams. What moves between ranks has priority over what computes: others wait for it.
const (
	Compute Stream = iota // kernels
	Gather                // parameters on their way in
	Scatter               // gradients on their way out
	Copies                // between the host and the device
)

// Streams is their number.
const Streams = C.CUDA_STREAMS

// Options say how a device is opened.
type Options struct {
	// Budget is the memory of the device that Alloc may hold, PinnedBudget that of the host, in
	// bytes. 0 means all that the device has, and 4 GiB.
	Budget, PinnedBudget int64
}

const defaultPinned = 4 << 30

// Device is an open GPU. Its methods may be called from any goroutine.
type Device struct {
	driver  *Driver
	info    Info
	context C.CUcontext
	streams [Streams]C.CUstream

	requests chan *request
	stop     chan struct{} // closed by Close
	gone     chan struct{} // closed when the goroutine has ended
	failure  atomic.Pointer[error]
	closing  sync.Once

	// What follows belongs to the device goroutine.
	waiting []*waiter
	memory  *pool
	pinned  pinned
	retired []retired
	spare   []C.CUevent
}

// request is something to do on the device's thread.
type request struct {
	do   func() error
	done chan error // one answer
}

// waiter waits until an event is done.
type waiter struct {
	event     C.CUevent
	done      chan error // one answer
	cancelled atomic.Bool
}

// Open opens a device: its primary context, which CUDA's other libraries use too, and its streams.
func (d *Driver) Open(index int, o Options) (*Device, error) {
	info, err := d.describe(index)
	if err != nil {
		return nil, err
	}
	if info.Arch < gpu.MinArch {
		return nil, fmt.Errorf("GPU %d (%s) is %s; want %s or newer", index, info.Name, info.Arch,
			gpu.MinArch)
	}
	if o.Budget < 0 || o.PinnedBudget < 0 {
		return nil, fmt.Errorf("open GPU %d: budgets of %d and %d bytes: below 0", index, o.Budget,
			o.PinnedBudget)
	}
	if o.Budget == 0 {
		o.Budget = info.Memory
	}
	if o.PinnedBudget == 0 {
		o.PinnedBudget = defaultPinned
	}
	dev := &Device{driver: d, info: info, requests: make(chan *request),
		stop: make(chan struct{}), gone: make(chan struct{}),
		pinned: pinned{limit: o.PinnedBudget, pieces: map[unsafe.Pointer]int64{}}}
	dev.memory = newPool(dev, o.Budget)
	opened := make(chan error, 1)
	go dev.serve(opened)
	if err := <-opened; err != nil {
		return nil, fmt.Errorf("open GPU %d (%s): %w", index, info.Name, err)
	}
	return dev, nil
}

// Info describes the device.
func (dev *Device) Info() Info { return dev.info }

// Handle is the CUstream of s, for a library whose calls go among our commands (List.Call).
func (dev *Device) Handle(s Stream) unsafe.Pointer { return unsafe.Pointer(dev.streams[s]) }

// serve is the device goroutine. It never unlocks its thread: with the goroutine the thread ends.
func (dev *Device) serve(opened chan<- error) {
	defer close(dev.gone)
	runtime.LockOSThread()
	urgent := [Streams]C.char{Gather: 1, Scatter: 1}
	err := dev.driver.check(C.cuda_open(dev.driver.api, dev.info.handle, &urgent[0], &dev.context,
		&dev.streams[0]))
	opened <- err
	if err != nil {
		return
	}
	dev.loop()
}

// The pauses between two looks at the events that somebody waits for. A step takes milliseconds to
// seconds, so the longest adds little, and keeps the core free for others.
const shortestPoll, longestPoll = 5 * time.Microsecond, 200 * time.Microsecond

func (dev *Device) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	pause := shortestPoll
	for {
		var tick <-chan time.Time
		if len(dev.waiting) > 0 {
			timer.Reset(pause)
			tick = timer.C
			pause = min(pause*3/2, longestPoll)
		}
		select {
		case r := <-dev.requests:
			r.done <- r.do()
			pause = shortestPoll
		case <-tick:
		case <-dev.stop:
			dev.answer(ErrClosed)
			return
		}
		dev.poll()
	}
}

// poll looks which events are done and answers those who wait.
func (dev *Device) poll() {
	if len(dev.waiting) == 0 {
		return
	}
	if err := dev.failed(); err != nil {
		dev.answer(err)
		return
	}
	events := make([]C.CUevent, len(dev.waiting))
	for i, w := range dev.waiting {
		events[i] = w.event
	}
	ready := make([]C.char, len(events))
	if code := C.cuda_query(dev.driver.api, &events[0], &ready[0], C.int64_t(len(events))); code != 0 {
		dev.answer(dev.fail(dev.driver.errorOf(int(code), "cuEventQuery")))
		return
	}
	rest := dev.waiting[:0]
	for i, w := range dev.waiting {
		switch {
		case ready[i] != 0:
			w.done <- nil
		case !w.cancelled.Load():
			rest = append(rest, w)
		}
	}
	clear(dev.waiting[len(rest):])
	dev.waiting = rest
}

// answer gives everybody who waits the same answer.
func (dev *Device) answer(err error) {
	for _, w := range dev.waiting {
		w.done <- err
	}
	dev.waiting = nil
}

// fail ends the device with its first error, and returns that.
func (dev *Device) fail(cause error) error {
	err := fmt.Errorf("GPU %d (%s): %w: %w", dev.info.Index, dev.info.Name, ErrFailed, cause)
	dev.failure.CompareAndSwap(nil, &err)
	return *dev.failure.Load()
}

// failed is the error that ended the device, if one did.
func (dev *Device) failed() error {
	if err := dev.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Do runs fn on the device's thread, with its context current, between two lists: for setting up,
// not for every step.
//
// If ctx ends before fn has begun, it does not run. If fn still runs a grace after the end of ctx,
// the thread hangs in the driver or in another library: the device has failed.
func (dev *Device) Do(ctx context.Context, fn func() error) error {
	_, err := dev.do(ctx, fn)
	return err
}

// grace is how long what has begun may go on after the end of its ctx: a deadline that ends while a
// busy host does not run our thread must not cost the device.
const grace = 5 * time.Second

// do also reports whether fn has begun, or will.
func (dev *Device) do(ctx context.Context, fn func() error) (begun bool, err error) {
	if err := dev.failed(); err != nil {
		return false, err
	}
	select {
	case <-dev.stop:
		return false, ErrClosed
	default:
	}
	r := &request{do: fn, done: make(chan error, 1)}
	select {
	case dev.requests <- r:
	case <-dev.stop:
		return false, ErrClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case err := <-r.done:
		return true, err
	case <-ctx.Done():
	}
	select {
	case err := <-r.done:
		return true, err
	case <-time.After(grace):
		return true, dev.fail(fmt.Errorf("its thread does not come back: %w", ctx.Err()))
	}
}

// Bind runs fn on a thread of its own with the device's context current: for what must not wait for
// the device's thread, such as an abort.
func (dev *Device) Bind(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its context
		if err := dev.driver.check(C.cuda_current(dev.driver.api, dev.context)); err != nil {
			result <- err
			return
		}
		result <- fn()
	}()
	return <-result
}

// Wait blocks until the work is done that was issued before the event was last recorded.
func (dev *Device) Wait(ctx context.Context, e *Event) error {
	w := &waiter{event: e.handle, done: make(chan error, 1)}
	err := dev.Do(ctx, func() error {
		dev.waiting = append(dev.waiting, w)
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		w.cancelled.Store(true)
		return ctx.Err()
	}
}
