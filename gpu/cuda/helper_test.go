package cuda_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/dl"
	"github.com/banyan-train/banyan/gpu/fake"
)

// within is the time in which a test of something that ends must end.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// briefly is the time that a test waits for something that does not end.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func load(t *testing.T, o fake.Options) (*cuda.Driver, error) {
	t.Helper()
	return cuda.Load(gpu.Search{Named: []string{fake.Build(t, o)}})
}

// open opens device 0 of a fake driver; faults are those of the fake's file.
func open(t *testing.T, faults string, o cuda.Options) *cuda.Device {
	t.Helper()
	driver, err := load(t, fake.Options{Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := driver.Open(0, o)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// closed closes a device at the end of the test, in good order.
func closed(t *testing.T, dev *cuda.Device) *cuda.Device {
	t.Cleanup(func() {
		if err := dev.Close(within(t)); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// calls opens the C functions of testdata.
func calls(t *testing.T) func(name string) unsafe.Pointer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "calls.so")
	if err := fake.Library(path, []string{"testdata/calls.c"}); err != nil {
		t.Fatal(err)
	}
	lib, err := dl.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) unsafe.Pointer {
		p := lib.Symbol(name)
		if p == nil {
			t.Fatalf("calls.c has no %s", name)
		}
		return p
	}
}

// run runs a list and frees it.
func run(t *testing.T, dev *cuda.Device, build func(l *cuda.List)) {
	t.Helper()
	l := dev.NewList()
	defer l.Free()
	build(l)
	if err := dev.Run(within(t), l); err != nil {
		t.Fatal(err)
	}
}

func event(t *testing.T, dev *cuda.Device) *cuda.Event {
	t.Helper()
	e, err := dev.NewEvent(within(t), true)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func wait(t *testing.T, dev *cuda.Device, e *cuda.Event) {
	t.Helper()
	if err := dev.Wait(within(t), e); err != nil {
		t.Fatal(err)
	}
}

func alloc(t *testing.T, dev *cuda.Device, n int64) cuda.Addr {
	t.Helper()
	at, err := dev.Alloc(within(t), n, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func host(t *testing.T, dev *cuda.Device, n int64) *cuda.Host {
	t.Helper()
	h, err := dev.AllocHost(within(t), n, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return h
}
