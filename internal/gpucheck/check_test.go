package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ncclfake "github.com/banyan-train/banyan/collective/nccl/fake"
	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/fake"
)

// run checks a fake device, on little data.
func run(t *testing.T, faults string) (*report, error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := fake.Build(t, fake.Options{Faults: faults})
	ncclfake.Build(t, dir)
	return check(ctx, options{cudaPath: dir, elements: 20000, bytes: 64 << 10, seed: 7})
}

func TestCheckOfAFakeDevice(t *testing.T) {
	r, err := run(t, "")
	if err != nil {
		t.Fatal(err)
	}
	bits, speeds, compared, moved := 0, 0, 0, 0
	for _, c := range r.Checks {
		switch {
		case strings.HasPrefix(c.Check, "bits of "):
			bits++
			if !c.OK {
				t.Errorf("%s: %s", c.Check, c.Value)
			}
		case strings.HasPrefix(c.Check, "NCCL, "):
			moved++
			if !c.OK {
				t.Errorf("%s: %s", c.Check, c.Value)
			}
		case strings.HasPrefix(c.Check, "speed of "):
			speeds++
			if c.BytesPerSecond <= 0 {
				t.Errorf("%s: %s", c.Check, c.Value)
			}
			if c.Ratio > 0 {
				compared++
			}
		}
	}
	if moved != 7 {
		t.Errorf("%d checks of NCCL, want 7", moved)
	}
	if bits != 14 || speeds != 13 || compared != 10 {
		t.Errorf("%d checks of bits, %d of speed, %d compared with the copy", bits, speeds, compared)
	}
	var out strings.Builder
	r.print(&out)
	for _, want := range []string{"seed ", "Fake GPU 0 sm_90", "bits of add, offset 1 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

// TestKernelThatFails: the rest is not taken for checked.
func TestKernelThatFails(t *testing.T) {
	r, err := run(t, "launch 5 700")
	if !errors.Is(err, cuda.ErrFailed) || r.ok() {
		t.Errorf("error %v, ok %t", err, r.ok())
	}
	for _, c := range r.Checks {
		if strings.HasPrefix(c.Check, "bits of add") && c.OK {
			t.Errorf("%s is ok", c.Check)
		}
	}
}

func TestNoGPU(t *testing.T) {
	if r, err := run(t, "devices 0"); !errors.Is(err, errNoGPU) || r.ok() {
		t.Errorf("error %v", err)
	}
}

// TestCompareFindsOut: an element that differs, and a byte written beside the output.
func TestCompareFindsOut(t *testing.T) {
	driver, err := cuda.Load(gpu.Search{Named: []string{fake.Build(t, fake.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := driver.Open(0, cuda.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{ctx: t.Context(), dev: dev}
	for _, e := range []**cuda.Event{&b.start, &b.done} {
		if *e, err = dev.NewEvent(b.ctx, true); err != nil {
			t.Fatal(err)
		}
	}
	want := []uint32{1, 2, 3}
	at, err := upload(b, want, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(b, at, want); err != nil {
		t.Error(err)
	}
	if err := compare(b, at, []uint32{1, 2, 4}); err == nil ||
		!strings.Contains(err.Error(), "element 2 of 3 is 3, its twin says 4") {
		t.Errorf("another element: %v", err)
	}
	for _, beside := range []cuda.Addr{at - 1, at + 12} {
		if _, err = b.run(func(l *cuda.List) error {
			l.Fill8(cuda.Compute, beside, 0, 1)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := compare(b, at, want); err == nil || !strings.Contains(err.Error(), "beside the 12") {
			t.Errorf("a byte beside: %v", err)
		}
		if _, err = b.run(func(l *cuda.List) error {
			l.Fill8(cuda.Compute, beside, poison, 1)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.free(), dev.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
