package tcp

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/banyan-train/banyan/collective"
)

// op is one operation under way, and its Handle.
type op struct {
	g    *Group
	kind kind
	seq  uint64
	left atomic.Int32 // sends and receives not finished
	done chan struct{}
	err  error // set before done is closed; only for operations that never started
}

var _ collective.Handle = (*op)(nil)

func (o *op) String() string { return fmt.Sprintf("%v (operation %d)", o.kind, o.seq) }

// finish counts one send or receive as finished.
func (o *op) finish() {
	if o.left.Add(-1) == 0 {
		o.g.forget(o)
		close(o.done)
	}
}

// Wait blocks until the operation is done. If ctx ends first, the group is aborted: there is no
// other way to get the buffers back. When Wait returns, also with an error, the group touches the
// buffers of the operation no more.
func (o *op) Wait(ctx context.Context) error {
	if collective.Await(ctx, o, o.done, o.g.aborted, o.g.Abort, func() { <-o.g.released }) {
		return o.err
	}
	return o.g.Err()
}

// sendItem is the part of an operation that goes to one peer.
type sendItem struct {
	op   *op
	data []byte
	sums *sums // of data, if it goes to others too
}

// recvItem is the part of an operation that comes from one peer: into data; or, for vectors whose
// size only the sender knows, into a new slice stored at bytes; or length bytes, by pieces, to
// take.
type recvItem struct {
	op     *op
	data   []byte
	bytes  *[]byte
	take   collective.Take
	length uint64
	pace   *pace // of the operation, with take
}
