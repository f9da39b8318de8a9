package nccl

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/banyan-train/banyan/collective"
)

// kind is what an operation is called.
type kind uint32

const (
	kindAllGather kind = iota + 1
	kindAllToAll
)

func (k kind) String() string {
	switch k {
	case kindAllGather:
		return "AllGather"
	case kindAllToAll:
		return "AllToAll"
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// op is one operation under way, and its Handle. send[r] goes to rank r, and counts[r] elements
// come from it; there are none of this rank's own, whose part was copied at once.
type op struct {
	g         *Group
	kind      kind
	seq       uint64
	send      [][]float32
	counts    []int
	take      collective.Take // gets what comes
	even      bool            // AllGather of equal parts: NCCL has an operation for it
	announced *announcement
	left      atomic.Int32  // the data, and the agreement of all ranks
	agreed    atomic.Bool   // all ranks have announced it
	done      chan struct{} // closed when nothing is left
	err       error         // set before done is closed; only for operations that never started
}

var _ collective.Handle = (*op)(nil)

// into is what takes pieces to their places.
func into(recv [][]float32) collective.Take {
	return func(from collective.Rank, at int, part []float32) error {
		copy(recv[from][at:], part)
		return nil
	}
}

func (o *op) String() string { return fmt.Sprintf("%v (operation %d)", o.kind, o.seq) }

// finish counts the data or the agreement as done.
func (o *op) finish() {
	if o.left.Add(-1) == 0 {
		o.g.forget(o)
		close(o.done)
	}
}

// Wait implements collective.Handle. If ctx ends first the group is aborted. After an abort the
// buffers are the caller's at once: the device never had them.
func (o *op) Wait(ctx context.Context) error {
	if collective.Await(ctx, o, o.done, o.g.aborted, o.g.Abort, o.g.awaitHands) {
		return o.err
	}
	return o.g.Err()
}
