package nccl

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/cuda"
)

// Type is what NCCL takes the elements for. To move them any of the same size will do.
type Type int32

// The types.
const (
	Bytes   Type = C.ncclUint8
	Float32 Type = C.ncclFloat32
	Float64 Type = C.ncclFloat64
	BF16    Type = C.ncclBfloat16
)

// Reduction is what NCCL does to elements of all ranks.
type Reduction int32

// The reductions.
const (
	Add Reduction = C.ncclSum
	Max Reduction = C.ncclMax
)

// size is that of an element in bytes, 0 if there is no such type.
func (t Type) size() int {
	return map[Type]int{Bytes: 1, BF16: 2, Float32: 4, Float64: 8}[t]
}

// Call is operations that NCCL runs together, on one stream of the device: a command of any number
// of lists, to be run again and again.
type Call struct {
	comm   *Comm
	stream cuda.Stream
	ops    []C.nccl_op
	name   string
	c      *C.nccl_call
	err    error
}

// NewCall makes a call without operations; add them, then put it into lists.
func (c *Comm) NewCall(s cuda.Stream) *Call { return &Call{comm: c, stream: s} }

// Free frees the call. Lists that have it must not be run any more.
func (k *Call) Free() {
	C.free(unsafe.Pointer(k.c))
	k.c = nil
}

// PutInto appends the call to a list. No operation may be added after it.
func (k *Call) PutInto(l *cuda.List) error {
	if k.err != nil {
		return k.err
	}
	if k.c == nil {
		if len(k.ops) == 0 {
			return errors.New("call of NCCL: no operations")
		}
		stream := unsafe.Pointer(k.comm.dev.Handle(k.stream))
		k.c = C.nccl_call_new(k.comm.c, stream, C.int(len(k.ops)))
		if k.c == nil {
			return errors.New("call of NCCL: out of memory")
		}
		copy(unsafe.Slice((*C.nccl_op)(C.nccl_call_ops(k.c)), len(k.ops)), k.ops)
	}
	l.Call(k.name, C.nccl_issue_function(), unsafe.Pointer(k.c))
	return nil
}

// Explain makes NCCL's error of what Device.Run answers for a list with this call.
func (k *Call) Explain(err error) error {
	var call *cuda.CallError
	if !errors.As(err, &call) {
		return err
	}
	return k.comm.lib.check(k.name, k.comm.c, C.int(call.Code))
}

// add appends an operation.
func (k *Call) add(name string, o C.nccl_op, t Type, count int, peer int) {
	switch {
	case k.c != nil:
		k.refuse("%s: the call is in a list already", name)
	case t.size() == 0:
		k.refuse("%s: type %d", name, t)
	case count < 0:
		k.refuse("%s: %d elements", name, count)
	case peer < 0 || peer >= k.comm.size:
		k.refuse("%s: rank %d of %d", name, peer, k.comm.size)
	}
	o._type, o.count, o.peer = C.int32_t(t), C.uint64_t(count), C.int32_t(peer)
	if k.ops = append(k.ops, o); k.name == "" {
		k.name = name
	}
}

func (k *Call) refuse(format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("call of NCCL: "+format, args...)
	}
}

// AllGather puts count elements of every rank into dst, by rank. src may be its own place in dst.
func (k *Call) AllGather(dst, src cuda.Addr, count int, t Type) {
	k.add("ncclAllGather", C.nccl_op{kind: C.NCCL_ALL_GATHER, send: C.uint64_t(src),
		recv: C.uint64_t(dst)}, t, count, 0)
}

// AllToAll sends elements [r*count, (r+1)*count) of src to rank r, and receives its into dst
// likewise: by NCCL's own operation, or where it has none by sends and receives.
func (k *Call) AllToAll(dst, src cuda.Addr, count int, t Type) {
	if k.comm.lib.HasAllToAll() {
		k.add("ncclAlltoAll", C.nccl_op{kind: C.NCCL_ALL_TO_ALL, send: C.uint64_t(src),
			recv: C.uint64_t(dst)}, t, count, 0)
		return
	}
	for r := range k.comm.size {
		at := cuda.Addr(r * count * t.size())
		k.Send(src+at, count, t, r)
		k.Recv(dst+at, count, t, r)
	}
}

// Broadcast puts count elements of src of rank root into dst of every rank; on others src is not
// looked at. dst may be src.
func (k *Call) Broadcast(dst, src cuda.Addr, count int, t Type, root int) {
	k.add("ncclBroadcast", C.nccl_op{kind: C.NCCL_BROADCAST, send: C.uint64_t(src),
		recv: C.uint64_t(dst)}, t, count, root)
}

// AllReduce puts the reduction of all ranks' src into dst of every rank; dst may be src. The order
// of addition is NCCL's: the bits are the same on all ranks, but not for another number of them.
func (k *Call) AllReduce(dst, src cuda.Addr, count int, t Type, r Reduction) {
	k.add("ncclAllReduce", C.nccl_op{kind: C.NCCL_ALL_REDUCE, send: C.uint64_t(src),
		recv: C.uint64_t(dst), reduction: C.int32_t(r)}, t, count, 0)
}

// ReduceScatter reduces elements [r*count, (r+1)*count) of all ranks' src into dst of rank r, in
// NCCL's order: for `numerics: fast` alone.
func (k *Call) ReduceScatter(dst, src cuda.Addr, count int, t Type, r Reduction) {
	k.add("ncclReduceScatter", C.nccl_op{kind: C.NCCL_REDUCE_SCATTER, send: C.uint64_t(src),
		recv: C.uint64_t(dst), reduction: C.int32_t(r)}, t, count, 0)
}

// Send and Recv move count elements to and from one rank. They meet the other's in the order of the
// calls; those of one call run at once.
func (k *Call) Send(src cuda.Addr, count int, t Type, to int) {
	k.add("ncclSend", C.nccl_op{kind: C.NCCL_SEND, send: C.uint64_t(src)}, t, count, to)
}

// Recv is like Send.
func (k *Call) Recv(dst cuda.Addr, count int, t Type, from int) {
	k.add("ncclRecv", C.nccl_op{kind: C.NCCL_RECV, recv: C.uint64_t(dst)}, t, count, from)
}
