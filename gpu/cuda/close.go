package cuda

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
)

// Close waits for what was issued, frees everything and ends the device's thread. If that is not
// done when ctx ends, it leaves all to the end of the process and says so. A device that failed
// frees nothing.
func (dev *Device) Close(ctx context.Context) error {
	err := dev.drain(ctx)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err == nil {
		err = dev.Do(ctx, dev.release)
	}
	dev.closing.Do(func() { close(dev.stop) })
	select {
	case <-dev.gone:
	case <-ctx.Done():
	}
	if err != nil {
		return fmt.Errorf("close GPU %d: %w", dev.info.Index, err)
	}
	return nil
}

// drain blocks until everything is done that was issued before.
func (dev *Device) drain(ctx context.Context) error {
	done, err := dev.NewEvent(ctx, false)
	if err != nil {
		return err
	}
	for s := range Stream(Streams) {
		l := dev.NewList()
		l.Record(s, done)
		if err := dev.Run(ctx, l); err != nil {
			return err
		}
		l.Free()
		if err := dev.Wait(ctx, done); err != nil {
			return err
		}
	}
	return dev.FreeEvent(ctx, done)
}

// release frees what the device holds.
func (dev *Device) release() error {
	var errs []error
	for _, e := range dev.spare {
		errs = append(errs, dev.driver.check(C.cuda_free_event(dev.driver.api, e)))
	}
	for _, r := range dev.retired {
		for _, e := range r.events {
			errs = append(errs, dev.driver.check(C.cuda_free_event(dev.driver.api, e)))
		}
	}
	dev.spare, dev.retired = nil, nil
	errs = append(errs, dev.memory.close(), dev.freePinned(),
		dev.driver.check(C.cuda_shut(dev.driver.api, dev.info.handle, &dev.streams[0])))
	return errors.Join(errs...)
}
