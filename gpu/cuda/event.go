package cuda

// #include "shim.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// Event marks a place in a stream: List.Record puts it there, List.Await and Device.Wait wait for
// it.
type Event struct{ handle C.CUevent }

func (e *Event) pointer() unsafe.Pointer {
	if e == nil {
		return nil
	}
	return unsafe.Pointer(e.handle)
}

// NewEvent makes an event. Only one with timing can be compared with Elapsed.
func (dev *Device) NewEvent(ctx context.Context, timing bool) (*Event, error) {
	e := &Event{}
	flag := C.int(0)
	if timing {
		flag = 1
	}
	err := dev.Do(ctx, func() error {
		return dev.driver.check(C.cuda_event(dev.driver.api, &e.handle, flag))
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// FreeEvent frees an event that nobody waits for any more.
func (dev *Device) FreeEvent(ctx context.Context, e *Event) error {
	return dev.Do(ctx, func() error {
		return dev.driver.check(C.cuda_free_event(dev.driver.api, e.handle))
	})
}

// Elapsed is the time between two events with timing; both must be done.
func (dev *Device) Elapsed(ctx context.Context, start, end *Event) (time.Duration, error) {
	var ms C.float
	err := dev.Do(ctx, func() error {
		return dev.driver.check(C.cuda_elapsed(dev.driver.api, &ms, start.handle, end.handle))
	})
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}
