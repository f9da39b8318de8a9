package nccl

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/banyan-train/banyan/collective"
)

// Group is one communicator. See collective.Group for the operations.
type Group struct {
	cfg        Config
	control    Control
	comm       *Comm
	rank, size int
	slots      []*slot

	mu      sync.Mutex
	posted  uint64         // sequence number of the last operation
	pending map[uint64]*op // posted, not done
	closed  bool           // Invariant: no operation is posted after it is set

	toIssue, toAgree *queue
	free             chan *slot  // slots that nobody uses
	issued           chan *chunk // in order, for the goroutine that collects
	moved            atomic.Uint64
	hands            sync.RWMutex // held, shared, while a goroutine touches callers' buffers

	abortMu sync.Mutex
	cause   error           // set once, before aborted is closed
	aborted chan struct{}   // closed by the first Abort
	patient context.Context // ends some time after the abort: for calls of the device
	giveUp  context.CancelFunc
	closing chan struct{} // closed by Close
	working sync.WaitGroup
	torn    chan struct{} // closed when the communicator has ended
	tearErr error         // set before torn is closed
}

var _ collective.Group = (*Group)(nil)

// Rank is this process's number in the generation.
func (g *Group) Rank() collective.Rank { return collective.Rank(g.rank) }

// Size is the world: the number of ranks.
func (g *Group) Size() int { return g.size }

// Comm is the communicator itself, for what is on the device. It dies with the group.
func (g *Group) Comm() *Comm { return g.comm }

// AllGather implements collective.Group. Wrong arguments abort the group: the peers that called
// with right ones would otherwise wait for this rank.
func (g *Group) AllGather(dst []float32, counts []int, src []float32) collective.Handle {
	if err := collective.CheckAllGather(g.Rank(), g.size, dst, counts, src); err != nil {
		return g.misuse(kindAllGather, err)
	}
	recv, send := make([][]float32, g.size), make([][]float32, g.size)
	at, even := 0, true
	for r, n := range counts {
		recv[r], send[r] = dst[at:at+n], src
		at += n
		even = even && n == counts[0]
	}
	copy(recv[g.rank], src) // a copy onto itself does nothing
	return g.move(&op{kind: kindAllGather, even: even, send: send, take: into(recv)}, counts)
}

// AllToAll implements collective.Group. No send slice may overlap a recv slice. Wrong arguments
// abort the group.
func (g *Group) AllToAll(recv, send [][]float32) collective.Handle {
	if err := collective.CheckAllToAll(g.Rank(), g.size, recv, send); err != nil {
		return g.misuse(kindAllToAll, err)
	}
	copy(recv[g.rank], send[g.rank])
	counts := make([]int, g.size)
	for r, v := range recv {
		counts[r] = len(v)
	}
	return g.move(&op{kind: kindAllToAll, send: slices.Clone(send),
		take: into(slices.Clone(recv))}, counts)
}

// AllToAllFunc implements collective.Group. take gets what comes out of the staging buffers, from
// one goroutine. Wrong arguments abort the group.
func (g *Group) AllToAllFunc(counts []int, send [][]float32, take collective.Take,
) collective.Handle {
	if err := collective.CheckAllToAllFunc(g.Rank(), g.size, counts, send); err != nil {
		return g.misuse(kindAllToAll, err)
	}
	return g.move(&op{kind: kindAllToAll, send: slices.Clone(send), take: take}, counts)
}

// move posts an operation that gets counts[r] elements from rank r. This rank's own part is done.
func (g *Group) move(o *op, counts []int) collective.Handle {
	o.counts = slices.Clone(counts)
	o.counts[g.rank], o.send[g.rank] = 0, nil
	return g.post(o)
}

// AllGatherBytes implements collective.Group, over the control group and within its limits.
func (g *Group) AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error) {
	if err := g.refusal(); err != nil {
		return nil, err
	}
	out, err := g.control.AllGatherBytes(ctx, mine)
	return out, g.heard("AllGatherBytes", err)
}

// Barrier implements collective.Group.
func (g *Group) Barrier(ctx context.Context) error {
	if err := g.refusal(); err != nil {
		return err
	}
	return g.heard("Barrier", g.control.Barrier(ctx))
}

// heard is the group's own error after an operation of the control group.
func (g *Group) heard(what string, err error) error {
	if err == nil {
		return nil
	}
	g.Abort(fmt.Errorf("%s: %w", what, err))
	return g.Err()
}

// refusal is why no operation may begin any more, nil if one may.
func (g *Group) refusal() error {
	if err := g.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("%w: %w", collective.ErrAborted, ErrClosed)
	}
	return nil
}

// post gives an operation the next number, announces it and leaves it to the goroutines.
func (g *Group) post(o *op) collective.Handle {
	o.g, o.done = g, make(chan struct{})
	if o.err = g.refusal(); o.err != nil {
		close(o.done)
		return o
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.posted++
	o.seq = g.posted
	if g.size == 1 {
		close(o.done)
		return o
	}
	o.left.Store(2)
	g.pending[o.seq] = o
	g.announce(o)
	g.toAgree.push(o)
	g.toIssue.push(o)
	return o
}

// misuse aborts the group because this rank called with wrong arguments.
func (g *Group) misuse(k kind, err error) collective.Handle {
	g.Abort(fmt.Errorf("call %v: %w", k, err))
	o := &op{g: g, kind: k, done: make(chan struct{}), err: g.Err()}
	close(o.done)
	return o
}

// forget drops a finished operation.
func (g *Group) forget(o *op) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending, o.seq)
}

// oldest is the first pending operation, nil if there is none.
func (g *Group) oldest() *op {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found *op
	for s, o := range g.pending {
		if found == nil || s < found.seq {
			found = o
		}
	}
	return found
}
