package cuda_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/fake"
)

func TestLoadSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		o    fake.Options
		want []string
	}{
		"missing": {fake.Options{Without: []string{"cuLaunchHostFunc"}},
			[]string{"lacks cuLaunchHostFunc (CUDA 10.0)", "12.0 or newer"}},
		"old": {fake.Options{Faults: "version 11040"}, []string{"CUDA 11.4; want 12.0"}},
		"no start": {fake.Options{Faults: "fail cuInit 1 999"},
			[]string{"cuInit", "CUDA_ERROR_UNKNOWN (999)"}},
		"no device": {fake.Options{Faults: "devices 0"},
			[]string{"cuInit", "CUDA_ERROR_NO_DEVICE (100)"}},
		"unheard": {fake.Options{Faults: "fail cuInit 1 12345"}, []string{"cuInit: error (12345)"}},
	} {
		_, err := load(t, c.o)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", name, err, want)
			}
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		faults, want string
		index        int
		o            cuda.Options
	}{
		"index":    {"devices 2", "GPU 2: this host has 2", 2, cuda.Options{}},
		"negative": {"", "GPU -1: this host has 1", -1, cuda.Options{}},
		"old arch": {"arch 75", "is sm_75; want sm_80", 0, cuda.Options{}},
		"budget":   {"", "below 0", 0, cuda.Options{Budget: -1}},
		"context": {"fail cuDevicePrimaryCtxRetain 1 2",
			"cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY", 0, cuda.Options{}},
		"stream": {"fail cuStreamCreateWithPriority 3 999", "cuStreamCreateWithPriority", 0,
			cuda.Options{}},
	} {
		driver, err := load(t, fake.Options{Faults: c.faults})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Open(c.index, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestDevicesAreDescribed(t *testing.T) {
	driver, err := load(t, fake.Options{Faults: "devices 2\nmemory 4096\narch 80"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := driver.Devices()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	d := all[1]
	if d.Name != "Fake GPU 1" || d.PCI != "0000:01:00.0" || d.Memory != 4096 || d.Arch != 80 ||
		d.UUID != "GPU-fafafafa-fafa-fafa-fafa-fafafafafa01" || d.Multiprocessors != 4 {
		t.Errorf("described as %+v", d)
	}
	if driver.Version() != 12080 || !strings.HasSuffix(driver.Path(), "libcuda.so.1") {
		t.Errorf("version %s of %s", driver.Version(), driver.Path())
	}
}

// TestStreamsAndEvents moves bytes through all streams: each waits for the one before.
func TestStreamsAndEvents(t *testing.T) {
	dev := closed(t, open(t, "", cuda.Options{}))
	const n = 10000
	src, dst := host(t, dev, n), host(t, dev, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range src.Bytes() {
		src.Bytes()[i] = byte(rng.Uint32())
	}
	a, b := alloc(t, dev, n), alloc(t, dev, n)
	up, moved, filled, down := event(t, dev), event(t, dev), event(t, dev), event(t, dev)
	hold := host(t, dev, 64)
	l := dev.NewList()
	defer l.Free()
	l.Host(cuda.Copies, calls(t)("hold"), hold.Pointer())
	l.Upload(cuda.Copies, a, src, 0, n)
	l.Record(cuda.Copies, up)
	l.Await(cuda.Compute, up)
	l.Copy(cuda.Compute, b, a+4, n-4)
	l.Record(cuda.Compute, moved)
	l.Await(cuda.Gather, moved)
	l.Fill8(cuda.Gather, b, 1, 3)
	l.Fill16(cuda.Gather, b+4, 0x0203, 2)
	l.Fill32(cuda.Gather, b+8, 0x04050607, 2)
	l.Record(cuda.Gather, filled)
	l.Await(cuda.Scatter, filled)
	l.Download(cuda.Scatter, dst, 0, b, n-4)
	l.Record(cuda.Scatter, down)
	if l.Len() != 14 {
		t.Errorf("%d commands", l.Len())
	}
	want := append([]byte(nil), src.Bytes()[4:]...)
	copy(want, []byte{1, 1, 1})
	copy(want[4:], []byte{3, 2, 3, 2, 7, 6, 5, 4, 7, 6, 5, 4})
	for range 3 { // a list may be run again
		clear(dst.Bytes())
		gate := (*int32)(hold.Pointer())
		atomic.StoreInt32(gate, 0)
		if err := dev.Run(within(t), l); err != nil {
			t.Fatal(err)
		}
		if err := dev.Wait(briefly(t), down); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the last stream did not wait for the first: %v", err)
		}
		atomic.StoreInt32(gate, 1)
		wait(t, dev, down)
		if !bytes.Equal(dst.Bytes()[:n-4], want) {
			t.Fatal("other bytes came back")
		}
	}
	if d, err := dev.Elapsed(within(t), up, down); err != nil || d < 0 {
		t.Errorf("elapsed %v, %v", d, err)
	}
}

func TestListsThatCannotBe(t *testing.T) {
	dev := closed(t, open(t, "devices 2", cuda.Options{}))
	h, x := host(t, dev, 64), alloc(t, dev, 64)
	for name, build := range map[string]func(l *cuda.List){
		"stream":        func(l *cuda.List) { l.Fill8(4, x, 0, 1) },
		"stream -1":     func(l *cuda.List) { l.Fill8(-1, x, 0, 1) },
		"no address":    func(l *cuda.List) { l.Copy(cuda.Compute, x, 0, 1) },
		"no bytes":      func(l *cuda.List) { l.Copy(cuda.Compute, x, x, 0) },
		"beyond host":   func(l *cuda.List) { l.Upload(cuda.Compute, x, h, 32, 33) },
		"before host":   func(l *cuda.List) { l.Download(cuda.Compute, h, -1, x, 2) },
		"no host":       func(l *cuda.List) { l.Upload(cuda.Compute, x, nil, 0, 1) },
		"no event":      func(l *cuda.List) { l.Record(cuda.Compute, nil) },
		"no function":   func(l *cuda.List) { l.Call("nothing", nil, nil) },
		"negative fill": func(l *cuda.List) { l.Fill32(cuda.Compute, x, 0, -1) },
	} {
		l := dev.NewList()
		l.Fill8(cuda.Compute, x, 0, 1)
		build(l)
		l.Fill8(cuda.Compute, x, 0, 1)
		if err := dev.Run(within(t), l); err == nil ||
			!strings.HasPrefix(err.Error(), "command 1 of a list: ") {
			t.Errorf("%s: error %v", name, err)
		}
		l.Free()
	}
	l := dev.NewList()
	defer l.Free()
	other := closed(t, open(t, "", cuda.Options{}))
	if err := other.Run(within(t), l); err == nil {
		t.Error("a list of another device was run")
	}
}

// TestWorkOutsideMemoryEndsTheDevice: the driver refuses it, and nothing works from then on.
func TestWorkOutsideMemoryEndsTheDevice(t *testing.T) {
	dev := open(t, "memory 4194304", cuda.Options{})
	x := alloc(t, dev, 64)
	l := dev.NewList()
	l.Fill8(cuda.Compute, x, 0, 1)
	l.Fill8(cuda.Compute, x, 0, 8<<20)
	err := dev.Run(within(t), l)
	if !errors.Is(err, cuda.ErrFailed) || !strings.Contains(err.Error(),
		"command 1 of 2 (fill): CUDA_ERROR_INVALID_VALUE (1)") {
		t.Errorf("error %v", err)
	}
	if again := dev.Do(within(t), func() error { return nil }); again == nil ||
		again.Error() != err.Error() {
		t.Errorf("then %v", again)
	}
	if err := dev.Close(within(t)); !errors.Is(err, cuda.ErrFailed) {
		t.Errorf("close: %v", err)
	}
}

func TestCalls(t *testing.T) {
	dev := closed(t, open(t, "", cuda.Options{}))
	fn := calls(t)
	arg := host(t, dev, 64)
	ints := unsafe.Slice((*int32)(arg.Pointer()), 16)
	ints[0], ints[1], ints[2] = 0, 7, 0
	done := event(t, dev)
	l := dev.NewList()
	defer l.Free()
	l.Host(cuda.Compute, fn("mark"), unsafe.Pointer(&ints[2]))
	l.Call("first", fn("answer"), unsafe.Pointer(&ints[0]))
	l.Record(cuda.Compute, done)
	l.Call("second", fn("answer"), unsafe.Pointer(&ints[1]))
	l.Host(cuda.Compute, fn("mark"), unsafe.Pointer(&ints[2]))
	var call *cuda.CallError
	err := dev.Run(within(t), l)
	if !errors.As(err, &call) || call.Code != 7 ||
		!strings.Contains(err.Error(), "command 3 of 5 (second)") {
		t.Fatalf("error %v", err)
	}
	wait(t, dev, done) // a call's error is its library's: the device goes on
	if ints[2] != 1 {
		t.Errorf("the host function ran %d times, want once", ints[2])
	}
	var bound atomic.Bool
	err = dev.Bind(func() error { bound.Store(true); return errors.New("mine") })
	if !bound.Load() || err == nil || err.Error() != "mine" {
		t.Errorf("bind: %v", err)
	}
}

// TestFailureWhileRunning: an error that surfaces late ends everything that waits, and what comes.
func TestFailureWhileRunning(t *testing.T) {
	dev := open(t, "fail cuEventQuery 1 700", cuda.Options{})
	done := event(t, dev)
	run(t, dev, func(l *cuda.List) { l.Record(cuda.Compute, done) })
	err := dev.Wait(within(t), done)
	if !errors.Is(err, cuda.ErrFailed) ||
		!strings.Contains(err.Error(), "CUDA_ERROR_ILLEGAL_ADDRESS (700)") {
		t.Fatalf("error %v", err)
	}
	if _, err := dev.Alloc(within(t), 1, "more"); !errors.Is(err, cuda.ErrFailed) {
		t.Errorf("alloc: %v", err)
	}
	if err := dev.Close(within(t)); !errors.Is(err, cuda.ErrFailed) {
		t.Errorf("close: %v", err)
	}
}

// TestHangs: a stream that never ends holds up who waits for it, as long as they want, and no one
// else.
func TestHangs(t *testing.T) {
	dev := open(t, "hang 1", cuda.Options{})
	stuck, done := event(t, dev), event(t, dev)
	x := alloc(t, dev, 64)
	run(t, dev, func(l *cuda.List) {
		l.Fill8(cuda.Compute, x, 0, 1)
		l.Record(cuda.Compute, stuck)
		l.Record(cuda.Copies, done)
	})
	wait(t, dev, done)
	if err := dev.Wait(briefly(t), stuck); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	if err := dev.Close(briefly(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	if err := dev.Wait(within(t), done); !errors.Is(err, cuda.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// TestThreadThatDoesNotComeBack: what hangs in a call, inside the device's thread.
func TestThreadThatDoesNotComeBack(t *testing.T) {
	dev := open(t, "", cuda.Options{})
	fn := calls(t)
	arg := host(t, dev, 64)
	gate := (*int32)(arg.Pointer())
	l := dev.NewList()
	l.Call("hold", fn("hold_call"), arg.Pointer())
	if err := dev.Run(briefly(t), l); !errors.Is(err, cuda.ErrFailed) ||
		!strings.Contains(err.Error(), "does not come back") {
		t.Errorf("run: %v", err)
	}
	if l.Free(); l.Len() != 1 {
		t.Error("a list in use was freed")
	}
	if err := dev.Run(within(t), dev.NewList()); !errors.Is(err, cuda.ErrFailed) {
		t.Errorf("then: %v", err)
	}
	if err := dev.Close(briefly(t)); !errors.Is(err, cuda.ErrFailed) {
		t.Errorf("close: %v", err)
	}
	atomic.StoreInt32(gate, 1) // the thread ends
}

func TestCloseIsOnce(t *testing.T) {
	dev := open(t, "", cuda.Options{})
	alloc(t, dev, 1<<20)
	host(t, dev, 1<<20)
	for range 2 {
		if err := dev.Close(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dev.NewEvent(within(t), false); !errors.Is(err, cuda.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
