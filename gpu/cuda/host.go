package cuda

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"unsafe"
)

// Host is pinned memory: the only memory of the host that a stream copies from and to while other
// work goes on. It lies outside of Go's heap.
type Host struct {
	p unsafe.Pointer
	n int64
}

// Bytes is the memory itself. It must not be used after FreeHost.
func (h *Host) Bytes() []byte { return unsafe.Slice((*byte)(h.p), h.n) }

// Floats is the memory as float32.
func (h *Host) Floats() []float32 { return unsafe.Slice((*float32)(h.p), h.n/4) }

// Halves is the memory as bfloat16.
func (h *Host) Halves() []uint16 { return unsafe.Slice((*uint16)(h.p), h.n/2) }

// Pointer is where it begins, for other libraries.
func (h *Host) Pointer() unsafe.Pointer { return h.p }

// has reports whether n bytes from offset are inside.
func (h *Host) has(offset, n int64) bool {
	return h != nil && h.p != nil && offset >= 0 && n > 0 && offset <= h.n && n <= h.n-offset
}

func (h *Host) at(offset int64) unsafe.Pointer {
	if h == nil || h.p == nil {
		return nil
	}
	return unsafe.Add(h.p, offset)
}

// pinned counts the pinned memory of a device.
type pinned struct {
	limit, used int64
	pieces      map[unsafe.Pointer]int64
}

// AllocHost hands out zeroed pinned memory; it is dear to get, so keep it.
func (dev *Device) AllocHost(ctx context.Context, bytes int64, what string) (*Host, error) {
	if bytes <= 0 || bytes > 1<<46 {
		return nil, fmt.Errorf("allocate %d bytes of pinned memory for %s: outside [1,2^46]", bytes,
			what)
	}
	h := &Host{n: bytes}
	err := dev.Do(ctx, func() error {
		b := &dev.pinned
		if bytes > b.limit-b.used {
			return fmt.Errorf("%w: %s of the budget of %s are taken", ErrMemory,
				bytesText(b.used), bytesText(b.limit))
		}
		err := dev.driver.check(C.cuda_alloc_host(dev.driver.api, &h.p, C.size_t(bytes)))
		if err != nil {
			return fmt.Errorf("%w; %s are taken", err, bytesText(b.used))
		}
		b.used += bytes
		b.pieces[h.p] = bytes
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("allocate %s of pinned memory for %s: %w", bytesText(bytes), what,
			err)
	}
	clear(h.Bytes())
	return h, nil
}

// FreeHost frees pinned memory that no stream uses any more.
func (dev *Device) FreeHost(ctx context.Context, h *Host) error {
	return dev.Do(ctx, func() error {
		n, ok := dev.pinned.pieces[h.p]
		if !ok {
			return errors.New("free pinned memory: no piece that was handed out")
		}
		delete(dev.pinned.pieces, h.p)
		dev.pinned.used -= n
		p := h.p
		h.p, h.n = nil, 0
		return dev.driver.check(C.cuda_free_host(dev.driver.api, p))
	})
}

// freePinned frees all of it.
func (dev *Device) freePinned() error {
	var errs []error
	for p := range dev.pinned.pieces {
		errs = append(errs, dev.driver.check(C.cuda_free_host(dev.driver.api, p)))
	}
	clear(dev.pinned.pieces)
	dev.pinned.used = 0
	return errors.Join(errs...)
}
