package cuda

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"unsafe"
)

var _ source = (*Device)(nil)

// take implements source.
func (dev *Device) take(bytes int64) (Addr, error) {
	var at C.CUdeviceptr
	err := dev.driver.check(C.cuda_alloc(dev.driver.api, &at, C.size_t(bytes)))
	if errors.Is(err, ErrMemory) {
		var free, total C.size_t
		if dev.driver.check(C.cuda_memory(dev.driver.api, &free, &total)) == nil {
			err = fmt.Errorf("%w; GPU %d has %s free of %s", err, dev.info.Index,
				bytesText(int64(free)), bytesText(int64(total)))
		}
	}
	return Addr(at), err
}

// give implements source.
func (dev *Device) give(at Addr) error {
	return dev.driver.check(C.cuda_free(dev.driver.api, C.CUdeviceptr(at)))
}

// Alloc hands out memory of the device, on a boundary of 512 bytes; its contents are anything. what
// says what it is for: an error that there is no more lists who holds what, and is ErrMemory.
func (dev *Device) Alloc(ctx context.Context, bytes int64, what string) (Addr, error) {
	var at Addr
	var waits bool
	attempt := func() error {
		err := dev.reclaim()
		if err == nil {
			at, err = dev.memory.alloc(bytes, what)
		}
		waits = len(dev.retired) > 0
		return err
	}
	err := dev.Do(ctx, attempt)
	if errors.Is(err, ErrMemory) && waits {
		// Pieces that were freed are not done with yet.
		if err := dev.drain(ctx); err != nil {
			return 0, err
		}
		err = dev.Do(ctx, attempt)
	}
	return at, err
}

// retired is a piece that was freed while work on it may still be under way.
type retired struct {
	at     Addr
	events [Streams]C.CUevent
}

// Free takes a piece back. It is handed out again when everything is done that was issued before.
func (dev *Device) Free(ctx context.Context, at Addr) error {
	return dev.Do(ctx, func() error {
		if x := dev.memory.byAddr[at]; x == nil || x.free {
			return fmt.Errorf("free %#x: no piece that was handed out", uint64(at))
		}
		r := retired{at: at}
		for s := range r.events {
			e, err := dev.event()
			if err != nil {
				return err
			}
			r.events[s] = e
		}
		dev.retired = append(dev.retired, r)
		for s, e := range r.events {
			c := C.struct_command{code: C.CMD_RECORD, stream: C.int32_t(s), p: unsafe.Pointer(e)}
			if f := C.cuda_run(dev.driver.api, &dev.streams[0], &c, 1); f.at >= 0 {
				return dev.fail(dev.driver.errorOf(int(f.code), "cuEventRecord"))
			}
		}
		return nil
	})
}

// event is one to be given back to spare.
func (dev *Device) event() (C.CUevent, error) {
	if n := len(dev.spare); n > 0 {
		e := dev.spare[n-1]
		dev.spare = dev.spare[:n-1]
		return e, nil
	}
	var e C.CUevent
	err := dev.driver.check(C.cuda_event(dev.driver.api, &e, 0))
	return e, err
}

// reclaim gives the pool what nobody works on any more.
func (dev *Device) reclaim() error {
	rest := dev.retired[:0]
	for _, r := range dev.retired {
		var ready [Streams]C.char
		if code := C.cuda_query(dev.driver.api, &r.events[0], &ready[0], Streams); code != 0 {
			return dev.fail(dev.driver.errorOf(int(code), "cuEventQuery"))
		}
		if ready != [Streams]C.char{1, 1, 1, 1} {
			rest = append(rest, r)
			continue
		}
		dev.spare = append(dev.spare, r.events[:]...)
		if err := dev.memory.release(r.at); err != nil {
			return err
		}
	}
	dev.retired = rest
	return nil
}
