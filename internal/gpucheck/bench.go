package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
)

// bench is the device under test.
type bench struct {
	ctx         context.Context
	dev         *cuda.Device
	set         *kernels.Set
	start, done *cuda.Event
	held        []cuda.Addr
	pinned      []*cuda.Host
}

// poison is what outputs hold before, and what stands around them for margin bytes.
const poison, margin = 0xdb, 64

// run runs a list on the compute stream, waits for it and answers how long it took there.
func (b *bench) run(build func(l *cuda.List) error) (time.Duration, error) {
	l := b.dev.NewList()
	defer l.Free()
	l.Record(cuda.Compute, b.start)
	if err := build(l); err != nil {
		return 0, err
	}
	l.Record(cuda.Compute, b.done)
	if err := b.dev.Run(b.ctx, l); err != nil {
		return 0, err
	}
	if err := b.dev.Wait(b.ctx, b.done); err != nil {
		return 0, err
	}
	return b.dev.Elapsed(b.ctx, b.start, b.done)
}

// alloc hands out poisoned memory with margins, `offset` bytes off its alignment.
func (b *bench) alloc(n, offset int64) (cuda.Addr, error) {
	at, err := b.dev.Alloc(b.ctx, n+2*margin+offset, "check")
	if err != nil {
		return 0, err
	}
	b.held = append(b.held, at)
	_, err = b.run(func(l *cuda.List) error {
		l.Fill8(cuda.Compute, at, poison, n+2*margin+offset)
		return nil
	})
	return at + margin + cuda.Addr(offset), err
}

func (b *bench) host(n int64) (*cuda.Host, error) {
	h, err := b.dev.AllocHost(b.ctx, n, "check")
	if err == nil {
		b.pinned = append(b.pinned, h)
	}
	return h, err
}

// free frees what alloc and host gave.
func (b *bench) free() error {
	var errs []error
	for _, at := range b.held {
		errs = append(errs, b.dev.Free(b.ctx, at))
	}
	for _, h := range b.pinned {
		errs = append(errs, b.dev.FreeHost(b.ctx, h))
	}
	b.held, b.pinned = nil, nil
	return errors.Join(errs...)
}

// uploadTwo is upload of two operands.
func uploadTwo[T, U any](b *bench, v []T, w []U, offset int) (x, z cuda.Addr, err error) {
	if x, err = upload(b, v, offset); err == nil {
		z, err = upload(b, w, offset)
	}
	return x, z, err
}

// upload puts v into memory of the device, `offset` elements off its alignment.
func upload[T any](b *bench, v []T, offset int) (cuda.Addr, error) {
	size := int64(unsafe.Sizeof(v[0]))
	n := int64(len(v)) * size
	at, err := b.alloc(n, int64(offset)*size)
	if err != nil {
		return 0, err
	}
	h, err := b.host(n)
	if err != nil {
		return 0, err
	}
	copy(h.Bytes(), unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), n))
	_, err = b.run(func(l *cuda.List) error {
		l.Upload(cuda.Compute, at, h, 0, n)
		return nil
	})
	return at, err
}

// compare downloads what lies at `at` and holds it against want, and its margins against poison.
func compare[T comparable](b *bench, at cuda.Addr, want []T) error {
	size := int64(unsafe.Sizeof(want[0]))
	n := int64(len(want)) * size
	h, err := b.host(n + 2*margin)
	if err != nil {
		return err
	}
	_, err = b.run(func(l *cuda.List) error {
		l.Download(cuda.Compute, h, 0, at-margin, n+2*margin)
		return nil
	})
	if err != nil {
		return err
	}
	bytes := h.Bytes()
	for i, c := range bytes {
		if (i < margin || int64(i) >= margin+n) && c != poison {
			return fmt.Errorf("wrote byte %d beside the %d bytes of its output", i-margin, n)
		}
	}
	got := unsafe.Slice((*T)(unsafe.Pointer(&bytes[margin])), len(want))
	for i, w := range want {
		if got[i] != w {
			return fmt.Errorf("element %d of %d is %x, its twin says %x", i, len(want), any(got[i]), any(w))
		}
	}
	return nil
}
