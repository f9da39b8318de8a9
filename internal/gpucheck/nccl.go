package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// What NCCL may take: connecting for the first time, an operation, an abort.
const ncclPatience = 30 * time.Second

// ncclElements is what each rank has, in float32.
const ncclElements = 1 << 20

// sharesGPU is the first version that lets two ranks share a GPU, if it is told to.
const sharesGPU nccl.Version = 23000

// nccl checks a world of one rank, and one of two: on two GPUs if there are, or on one.
func (r *report) nccl(ctx context.Context, search gpu.Search, driver *cuda.Driver,
	dev *cuda.Device) {
	lib, err := (*nccl.Library)(nil), os.Setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1") // no run's to set
	if err == nil {
		lib, err = nccl.Open(search, nil)
	}
	if errors.Is(err, gpu.ErrNotFound) {
		return // the table of libraries says so
	}
	if err != nil {
		r.add("load NCCL", err, "")
		return
	}
	r.add("load NCCL", nil, lib.Version().String())
	r.world("NCCL, one rank", ctx, lib, []*cuda.Device{dev})
	name, second := "NCCL, ranks on two GPUs", 1
	if len(r.Host.Devices) < 2 {
		name, second = "NCCL, two ranks on one GPU", 0
		if lib.Version() < sharesGPU {
			r.add(name, nil, fmt.Sprintf("not tried: NCCL %v is older than %v", lib.Version(),
				sharesGPU))
			return
		}
	}
	other, err := driver.Open(second, cuda.Options{})
	if err == nil {
		r.world(name, ctx, lib, []*cuda.Device{dev, other})
		err = other.Close(ctx)
	}
	if err != nil {
		r.add(name+": its second device", err, "")
	}
}

// world connects, moves and adds, lets an operation hang if there are two ranks, and aborts.
func (r *report) world(name string, ctx context.Context, lib *nccl.Library, devs []*cuda.Device) {
	ctx, cancel := context.WithTimeout(ctx, ncclPatience)
	defer cancel()
	start := time.Now()
	comms, err := connect(ctx, lib, devs)
	r.add(name+": connect", err, time.Since(start).Round(time.Millisecond).String())
	if err != nil {
		return
	}
	err = each(len(devs), func(k int) error { return move(ctx, comms[k], devs[k]) })
	r.add(name+": gather and reduce", err, "exact")
	if err == nil && len(devs) > 1 {
		// Rank 1 does not come, so rank 0 hangs on its device.
		err = perform(ctx, comms[0], devs[0], 0, func(k *nccl.Call, all, own cuda.Addr) {
			k.Broadcast(all, own, ncclElements, nccl.Float32, 1)
		}, nil)
		r.add(name+": an operation whose peer does not come", err, "issued")
	}
	start = time.Now()
	err = nccl.Abort(ncclPatience, comms...)
	r.add(name+": abort", err, time.Since(start).Round(time.Millisecond).String())
}

func each(n int, f func(rank int) error) error {
	var all errgroup.Group
	for k := range n {
		all.Go(func() error {
			if err := f(k); err != nil {
				return fmt.Errorf("rank %d: %w", k, err)
			}
			return nil
		})
	}
	return all.Wait()
}

func connect(ctx context.Context, lib *nccl.Library, devs []*cuda.Device) ([]*nccl.Comm, error) {
	id, err := lib.NewID()
	if err != nil {
		return nil, err
	}
	comms := make([]*nccl.Comm, len(devs))
	err = each(len(devs), func(k int) (err error) {
		comms[k], err = lib.Connect(ctx, devs[k], id, k, len(devs), ncclPatience)
		return err
	})
	return comms, err
}

// value is element i of rank k: a whole number, so that sums are exact in any order.
func value(k, i int) float32 { return float32(1000*k + i%997) }

// move gathers what the ranks have, then adds it, and looks at every element.
func move(ctx context.Context, c *nccl.Comm, dev *cuda.Device) error {
	err := perform(ctx, c, dev, c.Size()*ncclElements, func(k *nccl.Call, all, own cuda.Addr) {
		k.AllGather(all, own, ncclElements, nccl.Float32)
	}, func(i int) float32 { return value(i/ncclElements, i%ncclElements) })
	if err != nil {
		return fmt.Errorf("all-gather: %w", err)
	}
	err = perform(ctx, c, dev, ncclElements, func(k *nccl.Call, all, own cuda.Addr) {
		k.AllReduce(all, own, ncclElements, nccl.Float32, nccl.Add)
	}, func(i int) (sum float32) {
		for k := range c.Size() {
			sum += value(k, i)
		}
		return sum
	})
	if err != nil {
		return fmt.Errorf("all-reduce: %w", err)
	}
	return nil
}

// perform runs one operation from own memory into all, which is poisoned before. want says what the
// operation makes of the first n elements of all; if it is nil nobody waits for the operation.
func perform(ctx context.Context, c *nccl.Comm, dev *cuda.Device, n int,
	put func(k *nccl.Call, all, own cuda.Addr), want func(i int) float32) error {
	size := int64(4 * ncclElements)
	whole := size * int64(c.Size())
	host, err := dev.AllocHost(ctx, whole, "NCCL check")
	if err != nil {
		return err
	}
	own, err1 := dev.Alloc(ctx, size, "NCCL check")
	all, err2 := dev.Alloc(ctx, whole, "NCCL check")
	done, err3 := dev.NewEvent(ctx, false)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for i := range ncclElements {
		host.Floats()[i] = value(c.Rank(), i)
	}
	l, call := dev.NewList(), c.NewCall(cuda.Gather)
	l.Upload(cuda.Gather, own, host, 0, size)
	l.Fill8(cuda.Gather, all, poison, whole)
	put(call, all, own)
	if err := call.PutInto(l); err != nil {
		return err
	}
	l.Download(cuda.Gather, host, 0, all, whole)
	l.Record(cuda.Gather, done)
	if err := dev.Run(ctx, l); err != nil {
		return call.Explain(err)
	}
	if want == nil {
		return nil // what hangs keeps its memory
	}
	if err := dev.Wait(ctx, done); err != nil {
		return err
	}
	return errors.Join(compareFloats(host, n, want), dev.FreeHost(ctx, host),
		dev.Free(ctx, own), dev.Free(ctx, all), dev.FreeEvent(ctx, done))
}

// compareFloats compares what an operation wrote, and the poison behind it.
func compareFloats(h *cuda.Host, n int, want func(i int) float32) error {
	for i, v := range h.Floats()[:n] {
		if v != want(i) {
			return fmt.Errorf("element %d is %v, want %v", i, v, want(i))
		}
	}
	for i, b := range h.Bytes()[4*n:] {
		if b != poison {
			return fmt.Errorf("byte %d behind the output was written", i)
		}
	}
	return nil
}
