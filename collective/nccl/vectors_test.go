package nccl_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/nvrtc"
)

// The reduction of TestI3_DeviceSum: leaves of one partial each, chunks of a vector, elements of a
// chunk.
const leaves, chunks, chunk = 5, 7, 64

// partial is the sum of a leaf: numbers of very different sizes, so that another order gives other
// bits.
func partial(leaf int) []float32 {
	v := make([]float32, chunks*chunk)
	x := uint32(leaf*2654435761 + 1)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = float32(int32(x)) / float32(uint32(1)<<(x>>3%31))
	}
	return v
}

func shard(rank, world int) tree.Range {
	r := tree.Shard(rank, world, chunks)
	return tree.Range{Lo: r.Lo * chunk, Hi: r.Hi * chunk}
}

// onHost is the sum as the host adds it.
func onHost(t *testing.T) []float32 {
	sum := tree.NewSum(leaves, tree.NewFloats(chunks*chunk, tree.PlainAdd))
	for leaf := range leaves {
		if err := sum.Put(leaf, 0, 1, partial(leaf), tree.Given); err != nil {
			t.Fatal(err)
		}
	}
	out, ok := sum.Result()
	if !ok {
		t.Fatal("the sum is not complete")
	}
	return out
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y)
	})
}

// deviceRank is one rank of the reduction on devices. Everything is on one stream.
type deviceRank struct {
	ctx  context.Context
	dev  *cuda.Device
	comm *nccl.Comm
	set  *kernels.Set
	host *cuda.Host
	all  cuda.Addr // the whole vector
}

const stream = cuda.Scatter

// TestI3_DeviceSum: partials that NCCL moves and our kernel adds give the bits of the host's sum,
// whatever the world; NCCL's own sum does not.
func TestI3_DeviceSum(t *testing.T) {
	m := newMachine(t)
	supply, err := nvrtc.NewSupply(gpu.Search{Named: []string{m.dir}},
		nvrtc.Options{Cache: t.TempDir(), Ahead: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	want := onHost(t)
	for world := 1; world <= leaves; world++ {
		devices := m.devices(t, world)
		comms := m.connect(t, devices)
		each(t, world, func(ctx context.Context, r int) error {
			set, err := kernels.Load(ctx, devices[r], supply)
			if err != nil {
				return err
			}
			d := &deviceRank{ctx: ctx, dev: devices[r], comm: comms[r], set: set}
			if err := d.allocate(); err != nil {
				return err
			}
			if err := d.reduce(want); err != nil {
				return err
			}
			if world == leaves {
				if err := d.fast(want); err != nil {
					return err
				}
			}
			return errors.Join(set.Close(ctx), comms[r].Close(ctx, patience))
		})
	}
}

func (d *deviceRank) allocate() (err error) {
	if d.host, err = d.dev.AllocHost(d.ctx, 4*chunks*chunk, "test"); err == nil {
		d.all, err = d.dev.Alloc(d.ctx, 4*chunks*chunk, "test")
	}
	return err
}

// reduce moves each leaf's partial to the owners of its shards, adds, and gathers the sums.
func (d *deviceRank) reduce(want []float32) error {
	world, me := d.comm.Size(), d.comm.Rank()
	mine := shard(me, world)
	vectors := nccl.NewVectors(d.ctx, d.dev, d.set, stream, mine.Len())
	sum := tree.NewSum(leaves, vectors)
	for round := range (leaves + world - 1) / world {
		if err := d.exchange(round, sum, vectors); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	result, ok := sum.Result()
	if !ok {
		return errors.New("the sum is not complete")
	}
	call := d.comm.NewCall(stream)
	for r := range world {
		s := shard(r, world)
		call.Broadcast(d.all+cuda.Addr(4*s.Lo), result, s.Len(), nccl.Float32, r)
	}
	if err := d.finish(call); err != nil {
		return err
	}
	if !sameBits(d.host.Floats(), want) {
		return fmt.Errorf("world %d: the bits are not those of the host", world)
	}
	sum.Reset()
	return vectors.Close()
}

// exchange moves the round-th leaf of every rank that has one.
func (d *deviceRank) exchange(round int, sum *tree.Sum[cuda.Addr], v *nccl.Vectors) error {
	world, me := d.comm.Size(), d.comm.Rank()
	up, call, moved := d.dev.NewList(), d.comm.NewCall(stream), map[int]cuda.Addr{}
	defer up.Free()
	if own := tree.Leaves(me, world, leaves); round < own.Len() {
		copy(d.host.Floats(), partial(own.Lo+round))
		up.Upload(stream, d.all, d.host, 0, 4*chunks*chunk)
		for r := range world {
			s := shard(r, world)
			call.Send(d.all+cuda.Addr(4*s.Lo), s.Len(), nccl.Float32, r)
		}
	}
	for r := range world {
		if own := tree.Leaves(r, world, leaves); round < own.Len() {
			x, err := v.Take()
			if err != nil {
				return err
			}
			moved[own.Lo+round] = x
			call.Recv(x, shard(me, world).Len(), nccl.Float32, r)
		}
	}
	if err := d.dev.Run(d.ctx, up); err != nil {
		return err
	}
	if err := d.run(call, nil); err != nil {
		return err
	}
	for leaf, x := range moved {
		if err := sum.Put(leaf, 0, 1, x, tree.Given); err != nil {
			return err
		}
	}
	return nil
}

// fast lets NCCL add.
func (d *deviceRank) fast(want []float32) error {
	copy(d.host.Floats(), partial(d.comm.Rank()))
	up := d.dev.NewList()
	defer up.Free()
	up.Upload(stream, d.all, d.host, 0, 4*chunks*chunk)
	if err := d.dev.Run(d.ctx, up); err != nil {
		return err
	}
	call := d.comm.NewCall(stream)
	call.AllReduce(d.all, d.all, chunks*chunk, nccl.Float32, nccl.Add)
	if err := d.finish(call); err != nil {
		return err
	}
	got := d.host.Floats()
	if sameBits(got, want) {
		return errors.New("NCCL's order of addition gives the tree's bits: the test sees nothing")
	}
	for i := range got {
		if math.Abs(float64(got[i]-want[i])) > 1e-3*math.Max(1, math.Abs(float64(want[i]))) {
			return fmt.Errorf("element %d is %v, want about %v", i, got[i], want[i])
		}
	}
	return nil
}

// finish runs a call, and brings the vector to the host.
func (d *deviceRank) finish(call *nccl.Call) error {
	return d.run(call, func(l *cuda.List) { l.Download(stream, d.host, 0, d.all, 4*chunks*chunk) })
}

// run issues a call and what comes behind it, and waits.
func (d *deviceRank) run(call *nccl.Call, more func(*cuda.List)) error {
	l := d.dev.NewList()
	defer l.Free()
	defer call.Free()
	if err := call.PutInto(l); err != nil {
		return err
	}
	if more != nil {
		more(l)
	}
	done, err := d.dev.NewEvent(d.ctx, false)
	if err != nil {
		return err
	}
	l.Record(stream, done)
	if err := d.dev.Run(d.ctx, l); err != nil {
		return call.Explain(err)
	}
	return errors.Join(d.dev.Wait(d.ctx, done), d.dev.FreeEvent(d.ctx, done))
}
