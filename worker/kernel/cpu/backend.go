package cpu

/*
#cgo CFLAGS: -O3 -std=c11 -pthread -Wall
#cgo LDFLAGS: -pthread -lm
#cgo noescape banyan_run
#cgo nocallback banyan_run
#cgo noescape banyan_host_add
#cgo nocallback banyan_host_add
#include <stdlib.h>
#include "engine.h"
#include "host_add.h"

static void *pointer(uintptr_t p) { return (void *)p; }
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"github.com/banyan-train/banyan/worker/kernel"
)

var _ kernel.Backend = (*backend)(nil)

// maxElements bounds one allocation, so that byte counts cannot overflow.
const maxElements = math.MaxInt64 / 16

// maxThreads is far above any host: a larger number is a mistake.
const maxThreads = 4096

var errClosed = errors.New("cpu backend is closed")

// Options says how a backend is made.
type Options struct {
	// Threads is the number of cores to use, the calling one included. 0 means all of them.
	// It never changes a result.
	Threads int
	// ISA is the class to use, one of Classes. Empty means the best one.
	ISA string
}

type backend struct {
	engine *C.struct_engine
	isa    string
	memory map[kernel.Addr]unsafe.Pointer // what Alloc gave and Free has not taken back
}

// New starts a backend with its own threads and memory. Close it when done. An ISA class that
// this host cannot serve, or that BANYAN_ISA excludes, is an error.
func New(o Options) (kernel.Backend, error) {
	isa, err := choose(o.ISA)
	if err != nil {
		return nil, fmt.Errorf("start cpu backend: %w", err)
	}
	threads := o.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	if threads < 0 || threads > maxThreads {
		return nil, fmt.Errorf("start cpu backend: %d threads: outside [0,%d]", threads, maxThreads)
	}
	return start(isa, threads)
}

// start opens a class of this build, whether or not a run may choose it.
func start(isa string, threads int) (kernel.Backend, error) {
	name := C.CString(isa)
	defer C.free(unsafe.Pointer(name))
	engine := C.banyan_open(name, C.int(threads))
	if engine == nil {
		return nil, fmt.Errorf("start cpu backend: no memory or no threads for %d threads", threads)
	}
	return &backend{engine: engine, isa: isa, memory: map[kernel.Addr]unsafe.Pointer{}}, nil
}

func (b *backend) Name() string { return "cpu/" + b.isa }

func (b *backend) Alloc(n int, dt kernel.DType) (kernel.Tensor, error) {
	if b.engine == nil {
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: %w", n, errClosed)
	}
	if dt != kernel.F32 && dt != kernel.I32 && dt != kernel.BF16 {
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: unknown dtype %d", n, dt)
	}
	if n < 0 || n > maxElements {
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: outside [0,%d]", n, maxElements)
	}
	bytes := max(n*dt.Size(), 64) // an empty tensor still has an address of its own
	p := C.banyan_alloc(C.size_t(bytes))
	if p == nil {
		return kernel.Tensor{}, fmt.Errorf("allocate %d elements: no memory for %d bytes", n, bytes)
	}
	at := kernel.Addr(uintptr(p))
	b.memory[at] = p
	return kernel.Tensor{Addr: at, Len: n, DType: dt}, nil
}

func (b *backend) Free(t kernel.Tensor) {
	if p, ok := b.memory[t.Addr]; ok {
		delete(b.memory, t.Addr)
		C.banyan_free(p)
	}
}

func (b *backend) Run(ops []kernel.Op) error {
	if b.engine == nil {
		return fmt.Errorf("run %d ops: %w", len(ops), errClosed)
	}
	if len(ops) == 0 {
		return nil
	}
	first := (*C.struct_op)(unsafe.Pointer(unsafe.SliceData(ops)))
	if C.banyan_run(b.engine, first, C.long(len(ops))) == 0 {
		return nil
	}
	f := C.banyan_failure(b.engine)
	return fmt.Errorf("run op %d (code %d): %w", int(f.op), ops[f.op].Code, reason(f))
}

func reason(f C.struct_failure) error {
	switch f.why {
	case C.FAIL_CODE:
		return errors.New("unknown op code")
	case C.FAIL_MEMORY:
		return fmt.Errorf("no memory for %d bytes of scratch", int64(f.value))
	case C.FAIL_INDEX:
		return fmt.Errorf("index %d at row %d: outside [0,%d)", int64(f.value), int64(f.row),
			int64(f.limit))
	}
	return errors.New("impossible shape")
}

func (b *backend) Host(t kernel.Tensor) []float32 {
	if t.DType != kernel.F32 || t.IsZero() {
		return nil
	}
	return unsafe.Slice((*float32)(C.pointer(C.uintptr_t(t.Addr))), t.Len)
}

func (b *backend) HostInts(t kernel.Tensor) []int32 {
	if t.DType != kernel.I32 || t.IsZero() {
		return nil
	}
	return unsafe.Slice((*int32)(C.pointer(C.uintptr_t(t.Addr))), t.Len)
}

func (b *backend) HostHalf(t kernel.Tensor) []uint16 {
	if t.DType != kernel.BF16 || t.IsZero() {
		return nil
	}
	return unsafe.Slice((*uint16)(C.pointer(C.uintptr_t(t.Addr))), t.Len)
}

func (b *backend) HostAdd(dst, x, y []float32) {
	if len(x) != len(dst) || len(y) != len(dst) {
		panic(fmt.Sprintf("cpu: add %d and %d elements to %d", len(x), len(y), len(dst)))
	}
	first := func(v []float32) *C.float { return (*C.float)(unsafe.SliceData(v)) }
	C.banyan_host_add(first(dst), first(x), first(y), C.long(len(dst)))
}

func (b *backend) Close() {
	if b.engine == nil {
		return
	}
	C.banyan_close(b.engine)
	b.engine = nil
	for _, p := range b.memory {
		C.banyan_free(p)
	}
	clear(b.memory)
}
