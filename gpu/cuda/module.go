package cuda

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// Module is kernels that are loaded.
type Module struct {
	device *Device
	handle C.CUmodule
}

// Function is a kernel. Every kernel of ours has one argument, a struct.
type Function struct {
	Name string
	// Threads is the largest block it may have. Spilled is memory a thread, in bytes, for what did
	// not fit into its Registers.
	Threads, Registers, Spilled int

	handle   C.CUfunction
	argument int64 // bytes; -1: the driver does not say (it does since 12.4)
}

// LoadModule loads a cubin for this device.
func (dev *Device) LoadModule(ctx context.Context, cubin []byte) (*Module, error) {
	if err := wholeELF(cubin); err != nil {
		return nil, fmt.Errorf("load kernels: %w", err)
	}
	m := &Module{device: dev}
	err := dev.Do(ctx, func() error {
		image := C.CBytes(cubin)
		defer C.free(image)
		return dev.driver.check(C.cuda_load(dev.driver.api, &m.handle, image))
	})
	if err != nil {
		return nil, fmt.Errorf("load kernels for %s: %w", dev.info.Arch, err)
	}
	return m, nil
}

// wholeELF checks that an image has the length that its header says: the driver is told no length.
func wholeELF(b []byte) error {
	if len(b) < 64 || string(b[:6]) != "\x7fELF\x02\x01" {
		return errors.New("not a cubin: want a 64-bit ELF")
	}
	for _, table := range []struct{ at, size, count int }{{0x20, 0x36, 0x38}, {0x28, 0x3a, 0x3c}} {
		start := binary.LittleEndian.Uint64(b[table.at:])
		size := uint64(binary.LittleEndian.Uint16(b[table.size:])) *
			uint64(binary.LittleEndian.Uint16(b[table.count:]))
		if start > uint64(len(b)) || size > uint64(len(b))-start {
			return fmt.Errorf("damaged cubin: %d bytes, a table of %d at %d", len(b), size, start)
		}
	}
	return nil
}

// Function finds a kernel by its name.
func (m *Module) Function(ctx context.Context, name string) (*Function, error) {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	var c C.struct_cuda_function
	err := m.device.Do(ctx, func() error {
		return m.device.driver.check(C.cuda_function(m.device.driver.api, m.handle, s, &c))
	})
	if err != nil {
		return nil, fmt.Errorf("find kernel %s: %w", name, err)
	}
	return &Function{Name: name, Threads: int(c.threads), Registers: int(c.registers),
		Spilled: int(c.local), handle: c.handle, argument: int64(c.argument)}, nil
}

// Unload frees the kernels; none of them may be running.
func (m *Module) Unload(ctx context.Context) error {
	return m.device.Do(ctx, func() error {
		return m.device.driver.check(C.cuda_unload(m.device.driver.api, m.handle))
	})
}
