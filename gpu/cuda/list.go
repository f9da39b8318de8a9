package cuda

// #include <stdlib.h>
// #include <string.h>
// #include "shim.h"
// #cgo noescape cuda_run
// #cgo nocallback cuda_run
import "C"

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Addr is an address in a device's memory.
type Addr uint64

// Dim is the size of a grid or of a block.
type Dim struct{ X, Y, Z int }

// Line is a Dim of one dimension.
func Line(n int) Dim { return Dim{n, 1, 1} }

// List is commands for a device, in C memory, to be built once and run many times. It belongs to
// one goroutine. A command that cannot be is an error of the next Run.
type List struct {
	device    *Device
	commands  *C.struct_command
	n, room   int
	arguments []unsafe.Pointer // of launches
	names     []string         // what each command is, for errors
	err       error
	running   atomic.Bool
}

// NewList makes an empty list.
func (dev *Device) NewList() *List { return &List{device: dev} }

// Free frees the list. One that hangs in the driver is left to the end of the process.
func (l *List) Free() {
	if l.running.Load() {
		return
	}
	for _, p := range l.arguments {
		C.free(p)
	}
	C.free(unsafe.Pointer(l.commands))
	l.commands, l.n, l.room, l.arguments, l.names = nil, 0, 0, nil, nil
}

// Len is the number of commands.
func (l *List) Len() int { return l.n }

// add appends a command; ok says whether its operands can be.
func (l *List) add(s Stream, name string, ok bool, c C.struct_command) {
	if s < 0 || s >= Streams {
		l.refuse("%s on stream %d: there are %d", name, s, Streams)
		return
	}
	if !ok {
		l.refuse("%s on stream %d: an operand is missing or of no size", name, s)
		return
	}
	if l.n == l.room {
		l.room = max(16, 2*l.room)
		size := C.size_t(l.room) * C.size_t(unsafe.Sizeof(c))
		l.commands = (*C.struct_command)(C.realloc(unsafe.Pointer(l.commands), size))
	}
	c.stream = C.int32_t(s)
	unsafe.Slice(l.commands, l.room)[l.n] = c
	l.n++
	l.names = append(l.names, name)
}

// refuse keeps the first error.
func (l *List) refuse(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("command %d of a list: %s", l.n, fmt.Sprintf(format, args...))
	}
}

// Upload copies n bytes from offset of pinned memory to the device.
func (l *List) Upload(s Stream, to Addr, from *Host, offset, n int64) {
	l.add(s, "upload", to != 0 && from.has(offset, n), C.struct_command{code: C.CMD_UPLOAD,
		a: C.uint64_t(to), p: from.at(offset), n: C.uint64_t(n)})
}

// Download copies n bytes from the device to offset of pinned memory.
func (l *List) Download(s Stream, to *Host, offset int64, from Addr, n int64) {
	l.add(s, "download", from != 0 && to.has(offset, n), C.struct_command{code: C.CMD_DOWNLOAD,
		a: C.uint64_t(from), p: to.at(offset), n: C.uint64_t(n)})
}

// Copy copies n bytes within the device. The two must not overlap.
func (l *List) Copy(s Stream, to, from Addr, n int64) {
	l.add(s, "copy", to != 0 && from != 0 && n > 0, C.struct_command{code: C.CMD_COPY,
		a: C.uint64_t(to), b: C.uint64_t(from), n: C.uint64_t(n)})
}

// Fill8 sets n bytes, Fill16 and Fill32 n elements of 2 and of 4 bytes, to value.
func (l *List) Fill8(s Stream, to Addr, value uint8, n int64) {
	l.fill(s, C.CMD_FILL8, to, uint32(value), n)
}

// Fill16 is like Fill8.
func (l *List) Fill16(s Stream, to Addr, value uint16, n int64) {
	l.fill(s, C.CMD_FILL16, to, uint32(value), n)
}

// Fill32 is like Fill8.
func (l *List) Fill32(s Stream, to Addr, value uint32, n int64) {
	l.fill(s, C.CMD_FILL32, to, value, n)
}

func (l *List) fill(s Stream, code C.int32_t, to Addr, value uint32, n int64) {
	l.add(s, "fill", to != 0 && n > 0, C.struct_command{code: code, a: C.uint64_t(to),
		value: C.uint32_t(value), n: C.uint64_t(n)})
}

// Launch runs a kernel. argument is its one argument, a struct of the same layout as the kernel's,
// with addresses of the device as Addr: it is copied, and must not hold Go's pointers.
func Launch[A any](l *List, s Stream, f *Function, grid, block Dim, argument A) {
	size := unsafe.Sizeof(argument)
	name := "launch " + f.Name
	if f.argument >= 0 && f.argument != int64(size) {
		l.refuse("%s: its argument has %d bytes, the kernel's %d", name, size, f.argument)
		return
	}
	if !grid.valid() || !block.valid() {
		l.refuse("%s: a grid of %v blocks of %v threads", name, grid, block)
		return
	}
	if threads := int64(block.X) * int64(block.Y) * int64(block.Z); threads > int64(f.Threads) {
		l.refuse("%s: blocks of %d threads; this kernel may have %d", name, threads, f.Threads)
		return
	}
	p := C.malloc(C.size_t(max(size, 1)))
	C.memcpy(p, unsafe.Pointer(&argument), C.size_t(size))
	l.arguments = append(l.arguments, p)
	l.add(s, name, true, C.struct_command{code: C.CMD_LAUNCH,
		p: unsafe.Pointer(f.handle), arg: p, grid: grid.c(), block: block.c()})
}

// valid is what every GPU that we use takes as a grid; blocks are bounded by their kernel too.
func (d Dim) valid() bool {
	return d.X > 0 && d.X < 1<<31 && d.Y > 0 && d.Y < 1<<16 && d.Z > 0 && d.Z < 1<<16
}

func (d Dim) c() [3]C.uint32_t {
	return [3]C.uint32_t{C.uint32_t(d.X), C.uint32_t(d.Y), C.uint32_t(d.Z)}
}

// Record puts the event at this place of the stream.
func (l *List) Record(s Stream, e *Event) {
	l.add(s, "record", e != nil, C.struct_command{code: C.CMD_RECORD, p: e.pointer()})
}

// Await lets what follows on the stream wait for the place where the event was last recorded.
func (l *List) Await(s Stream, e *Event) {
	l.add(s, "await", e != nil, C.struct_command{code: C.CMD_WAIT, p: e.pointer()})
}

// Host lets the stream call fn, a C function void (*)(void *), with arg in C memory, when it gets
// there. fn runs on a thread of the driver's and must not call CUDA.
func (l *List) Host(s Stream, fn, arg unsafe.Pointer) {
	l.add(s, "host function", fn != nil, C.struct_command{code: C.CMD_HOST, p: fn, arg: arg})
}

// Call calls fn, a C function int (*)(void *), with arg in C memory, on the device's thread, when
// the commands before it are issued: how another library puts its work on our streams. An answer
// that is not 0 ends the list with a CallError, and leaves the device as it is.
func (l *List) Call(name string, fn, arg unsafe.Pointer) {
	l.add(Compute, name, fn != nil, C.struct_command{code: C.CMD_CALL, p: fn, arg: arg})
}

// Run issues lists in order and returns when they are issued: an event says when they are done.
func (dev *Device) Run(ctx context.Context, lists ...*List) error {
	for _, l := range lists {
		if l.err != nil {
			return l.err
		}
		if l.device != dev {
			return fmt.Errorf("run a list: it was made for GPU %d", l.device.info.Index)
		}
	}
	inUse := func(yes bool) {
		for _, l := range lists {
			l.running.Store(yes)
		}
	}
	inUse(true)
	begun, err := dev.do(ctx, func() error {
		defer inUse(false)
		for _, l := range lists {
			if err := dev.issue(l); err != nil {
				return err
			}
		}
		return nil
	})
	if !begun {
		inUse(false)
	}
	return err
}

func (dev *Device) issue(l *List) error {
	if err := dev.failed(); err != nil {
		return err
	}
	r := C.cuda_run(dev.driver.api, &dev.streams[0], l.commands, C.int64_t(l.n))
	if r.at < 0 {
		return nil
	}
	place := fmt.Sprintf("command %d of %d (%s)", r.at, l.n, l.names[r.at])
	if r.call != 0 {
		return fmt.Errorf("%s: %w", place, &CallError{int(r.code)})
	}
	return dev.fail(dev.driver.errorOf(int(r.code), place))
}
