package nccl_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// connect makes a communicator of all devices.
func (m *machine) connect(t testing.TB, devices []*cuda.Device) []*nccl.Comm {
	t.Helper()
	id, err := m.lib.NewID()
	if err != nil {
		t.Fatal(err)
	}
	comms := make([]*nccl.Comm, len(devices))
	each(t, len(devices), func(ctx context.Context, r int) (err error) {
		comms[r], err = m.lib.Connect(ctx, devices[r], id, r, len(devices), patience)
		return err
	})
	return comms
}

// moving is one operation on float32 of the device: what it makes of what the ranks have.
type moving struct {
	name    string
	put     func(k *nccl.Call, dst, src cuda.Addr, n int)
	in, out int // parts of n elements in src and in dst
	want    func(world, rank, part int) float32
}

// at is the value of part p of rank r's src.
func at(r, p int) float32 { return float32(100*r + p + 1) }

func total(world, part int) (sum float32) {
	for r := range world {
		sum += at(r, part)
	}
	return sum
}

var movings = []moving{
	{name: "AllGather", in: 1, out: 4, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.AllGather(dst, src, n, nccl.Float32)
	}, want: func(_, _, part int) float32 { return at(part, 0) }},
	{name: "AllToAll", in: 4, out: 4, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.AllToAll(dst, src, n, nccl.Float32)
	}, want: func(_, rank, part int) float32 { return at(part, rank) }},
	{name: "Broadcast", in: 1, out: 1, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.Broadcast(dst, src, n, nccl.Float32, 2)
	}, want: func(int, int, int) float32 { return at(2, 0) }},
	{name: "AllReduce", in: 1, out: 1, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.AllReduce(dst, src, n, nccl.Float32, nccl.Add)
	}, want: func(world, _, _ int) float32 { return total(world, 0) }},
	{name: "AllReduce max", in: 1, out: 1, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.AllReduce(dst, src, n, nccl.Float32, nccl.Max)
	}, want: func(world, _, _ int) float32 { return at(world-1, 0) }},
	{name: "ReduceScatter", in: 4, out: 1, put: func(k *nccl.Call, dst, src cuda.Addr, n int) {
		k.ReduceScatter(dst, src, n, nccl.Float32, nccl.Add)
	}, want: func(world, rank, _ int) float32 { return total(world, rank) }},
}

// run does a moving on one rank, twice with the same list, and checks what came.
func (m *moving) run(ctx context.Context, c *nccl.Comm, dev *cuda.Device) error {
	const n = 1000
	host, err := dev.AllocHost(ctx, 4*n*4, "test")
	if err != nil {
		return err
	}
	dst, err1 := dev.Alloc(ctx, 4*n*4, "test")
	src, err2 := dev.Alloc(ctx, 4*n*4, "test")
	done, err3 := dev.NewEvent(ctx, false)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for i := range n * m.in {
		host.Floats()[i] = at(c.Rank(), i/n)
	}
	up, down := dev.NewList(), dev.NewList()
	defer up.Free()
	defer down.Free()
	up.Upload(cuda.Gather, src, host, 0, int64(4*n*m.in))
	call := c.NewCall(cuda.Gather)
	defer call.Free()
	m.put(call, dst, src, n)
	if err := call.PutInto(down); err != nil {
		return err
	}
	down.Download(cuda.Gather, host, 0, dst, int64(4*n*m.out))
	down.Record(cuda.Gather, done)
	if err := call.Explain(dev.Run(ctx, up, down, down)); err != nil {
		return err
	}
	if err := dev.Wait(ctx, done); err != nil {
		return err
	}
	for i, got := range host.Floats()[:n*m.out] {
		if want := m.want(c.Size(), c.Rank(), i/n); got != want {
			return fmt.Errorf("element %d is %v, want %v", i, got, want)
		}
	}
	return errors.Join(dev.FreeHost(ctx, host), dev.Free(ctx, dst), dev.Free(ctx, src),
		dev.FreeEvent(ctx, done))
}

// TestDeviceOperations: on 4 ranks, with NCCL's own all-to-all and with one of sends and receives.
func TestDeviceOperations(t *testing.T) {
	for _, without := range [][]string{nil, {"ncclAlltoAll"}} {
		m := newMachine(t, without...)
		if m.lib.HasAllToAll() != (without == nil) {
			t.Fatalf("without %v: HasAllToAll is %t", without, m.lib.HasAllToAll())
		}
		devices := m.devices(t, 4)
		comms := m.connect(t, devices)
		for _, op := range movings {
			each(t, 4, func(ctx context.Context, r int) error {
				if err := op.run(ctx, comms[r], devices[r]); err != nil {
					return fmt.Errorf("%s without %v: %w", op.name, without, err)
				}
				return nil
			})
		}
		each(t, 4, func(ctx context.Context, r int) error {
			return comms[r].Close(ctx, patience)
		})
	}
}

func TestCallsAreChecked(t *testing.T) {
	m := newMachine(t)
	devices := m.devices(t, 1)
	c := m.connect(t, devices)[0]
	l := devices[0].NewList()
	for name, put := range map[string]func(k *nccl.Call){
		"nothing": func(*nccl.Call) {},
		"type":    func(k *nccl.Call) { k.AllGather(1, 1, 1, 99) },
		"count":   func(k *nccl.Call) { k.Broadcast(1, 1, -1, nccl.Bytes, 0) },
		"peer":    func(k *nccl.Call) { k.Send(1, 1, nccl.BF16, 1) },
		"root":    func(k *nccl.Call) { k.Broadcast(1, 1, 1, nccl.Float64, -1) },
		"after a list": func(k *nccl.Call) {
			k.AllGather(1, 1, 1, nccl.Bytes)
			_ = k.PutInto(l)
			k.Send(1, 1, nccl.Bytes, 0)
		},
	} {
		k := c.NewCall(cuda.Gather)
		put(k)
		if err := k.PutInto(l); err == nil {
			t.Errorf("%s: no error", name)
		}
		k.Free()
	}
	// What NCCL itself refuses comes back as its error, and the device lives.
	k := c.NewCall(cuda.Gather)
	k.AllReduce(1, 1, 1, nccl.BF16, nccl.Add)
	l = devices[0].NewList()
	if err := k.PutInto(l); err != nil {
		t.Fatal(err)
	}
	var e *nccl.Error
	if err := k.Explain(devices[0].Run(t.Context(), l)); !errors.As(err, &e) || e.Code != 4 {
		t.Errorf("error %v, want one of NCCL's with code 4", err)
	}
	if err := nccl.Abort(patience, c); err != nil {
		t.Error(err)
	}
	if err := k.Explain(devices[0].Run(t.Context(), l)); err == nil {
		t.Error("a call on a communicator that was aborted works")
	}
}

// TestAbortTogether: two communicators of a device hang. Aborted in one group they end; aborted
// alone, the first waits for the other.
func TestAbortTogether(t *testing.T) {
	m := newMachine(t)
	for _, together := range []bool{true, false} {
		devices := m.devices(t, 2)
		first, second := m.connect(t, devices), m.connect(t, devices)
		// Rank 1 does not come, so rank 0 hangs in both, on two streams.
		for i, c := range []*nccl.Comm{first[0], second[0]} {
			hangs(t, devices[0], c, []cuda.Stream{cuda.Gather, cuda.Scatter}[i])
		}
		if together {
			if err := nccl.Abort(patience, first[0], second[0]); err != nil {
				t.Error(err)
			}
		} else {
			if err := nccl.Abort(100*time.Millisecond, first[0]); !errors.Is(err,
				nccl.ErrAbortHangs) {
				t.Errorf("abort of one of two: %v, want ErrAbortHangs", err)
			}
			if err := nccl.Abort(patience, second[0]); err != nil {
				t.Error(err)
			}
		}
		if err := nccl.Abort(patience, slices.Concat(first[1:], second[1:])...); err != nil {
			t.Error(err)
		}
	}
}

// hangs issues a broadcast from a rank that does not take part.
func hangs(t *testing.T, dev *cuda.Device, c *nccl.Comm, s cuda.Stream) {
	t.Helper()
	at, err := dev.Alloc(t.Context(), 1024, "test")
	if err != nil {
		t.Fatal(err)
	}
	k, l := c.NewCall(s), dev.NewList()
	k.Broadcast(at, at, 1024, nccl.Bytes, 1)
	if err := k.PutInto(l); err != nil {
		t.Fatal(err)
	}
	if err := k.Explain(dev.Run(t.Context(), l)); err != nil {
		t.Fatal(err)
	}
}
