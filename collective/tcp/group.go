package tcp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/banyan-train/banyan/collective"
)

// Group is one communicator over TCP. See collective.Group for the operations.
type Group struct {
	self     collective.Rank
	tag      uint64
	peers    []*peer // by rank; nil for this one
	timeout  time.Duration
	listener *Listener

	mu      sync.Mutex
	posted  uint64         // sequence number of the last operation
	pending map[uint64]*op // posted, not done
	closed  bool           // Invariant: no operation is posted after it is set

	abortMu sync.Mutex
	cause   error         // set once, before aborted is closed
	aborted chan struct{} // closed by the first Abort
	closing chan struct{} // closed by Close

	busy     sync.WaitGroup // goroutines that may touch the callers' buffers
	released chan struct{}  // closed when there are none
	wg       sync.WaitGroup // goroutines that use sockets
	drained  chan struct{}  // closed when there are none, and the sockets are closed
}

var _ collective.Group = (*Group)(nil)

// newGroup starts the goroutines over the connections of a full mesh.
func newGroup(m *mesh, l *Listener) *Group {
	g := &Group{
		self: m.self.rank, tag: groupTag(m.self.run, m.self.generation),
		peers: make([]*peer, m.self.world), timeout: m.cfg.opTimeout(), listener: l,
		pending: map[uint64]*op{}, aborted: make(chan struct{}), closing: make(chan struct{}),
		released: make(chan struct{}), drained: make(chan struct{}),
	}
	for r, conn := range m.conns {
		if conn == nil {
			continue
		}
		g.peers[r] = &peer{
			g: g, rank: collective.Rank(r), conn: conn,
			out: newQueue[sendItem](), in: newQueue[recvItem](),
		}
	}
	for p := range g.others() {
		g.busy.Add(2)
		g.wg.Go(p.send)
		g.wg.Go(p.receive)
	}
	if m.self.world > 1 {
		g.wg.Go(g.watch)
	}
	go func() {
		g.busy.Wait()
		close(g.released)
		g.wg.Wait()
		for p := range g.others() {
			_ = p.conn.Close()
		}
		_ = l.Close()
		close(g.drained)
	}()
	return g
}

// others yields the peers in order of rank.
func (g *Group) others() func(func(*peer) bool) {
	return func(yield func(*peer) bool) {
		for _, p := range g.peers {
			if p != nil && !yield(p) {
				return
			}
		}
	}
}

// Rank is this process's number in the generation.
func (g *Group) Rank() collective.Rank { return g.self }

// Size is the world: the number of ranks.
func (g *Group) Size() int { return len(g.peers) }

// AllGather implements collective.Group. Wrong arguments abort the group: the peers that called
// with right ones would otherwise wait for this rank.
func (g *Group) AllGather(dst []float32, counts []int, src []float32) collective.Handle {
	if err := collective.CheckAllGather(g.self, g.Size(), dst, counts, src); err != nil {
		return g.misuse(kindAllGather, err)
	}
	out, at := bytesOf(src), 0
	parts := make([]recvItem, g.Size())
	for r, n := range counts {
		parts[r].data = bytesOf(dst[at : at+n])
		if r == int(g.self) {
			copy(dst[at:at+n], src) // a copy onto itself does nothing
		}
		at += n
	}
	return g.post(kindAllGather, func(int) []byte { return out }, parts)
}

// AllToAll implements collective.Group. No send slice may overlap a recv slice. Wrong arguments
// abort the group.
func (g *Group) AllToAll(recv, send [][]float32) collective.Handle {
	if err := collective.CheckAllToAll(g.self, g.Size(), recv, send); err != nil {
		return g.misuse(kindAllToAll, err)
	}
	parts := make([]recvItem, g.Size())
	for r := range recv {
		parts[r].data = bytesOf(recv[r])
	}
	copy(recv[g.self], send[g.self])
	return g.post(kindAllToAll, func(r int) []byte { return bytesOf(send[r]) }, parts)
}

// AllToAllFunc implements collective.Group. Wrong arguments abort the group.
func (g *Group) AllToAllFunc(counts []int, send [][]float32, take collective.Take,
) collective.Handle {
	if err := collective.CheckAllToAllFunc(g.self, g.Size(), counts, send); err != nil {
		return g.misuse(kindAllToAll, err)
	}
	parts, together := make([]recvItem, g.Size()), newPace(counts)
	for r, n := range counts {
		parts[r].take, parts[r].length, parts[r].pace = take, 4*uint64(n), together
	}
	return g.post(kindAllToAll, func(r int) []byte { return bytesOf(send[r]) }, parts)
}

// AllGatherBytes implements collective.Group, for vectors of at most MaxBytesVector. The result
// belongs to the caller.
func (g *Group) AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error) {
	if len(mine) > MaxBytesVector {
		err := fmt.Errorf("vector of %d bytes, at most %d", len(mine), MaxBytesVector)
		return nil, g.misuse(kindBytes, err).Wait(ctx)
	}
	out := make([][]byte, g.Size())
	parts := make([]recvItem, g.Size())
	for r := range parts {
		parts[r].bytes = &out[r]
	}
	out[g.self] = append([]byte{}, mine...)
	// Sent from the copy: it stays as it is whatever the caller does after an error.
	err := g.post(kindBytes, func(int) []byte { return out[g.self] }, parts).Wait(ctx)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Barrier implements collective.Group.
func (g *Group) Barrier(ctx context.Context) error {
	return g.post(kindBarrier, func(int) []byte { return nil }, make([]recvItem, g.Size())).
		Wait(ctx)
}

// post gives an operation the next number and its parts to the peers' queues.
func (g *Group) post(k kind, send func(rank int) []byte, parts []recvItem) collective.Handle {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := &op{g: g, kind: k, done: make(chan struct{})}
	if o.err = g.Err(); o.err == nil && g.closed {
		o.err = fmt.Errorf("%w: %w", collective.ErrAborted, ErrClosed)
	}
	if o.err != nil {
		close(o.done)
		return o
	}
	g.posted++
	o.seq = g.posted
	if g.Size() == 1 {
		close(o.done)
		return o
	}
	o.left.Store(int32(2 * (g.Size() - 1)))
	var known *sums
	if k == kindAllGather || k == kindBytes { // one message for all
		known = &sums{}
	}
	g.pending[o.seq] = o
	for p := range g.others() {
		part := parts[p.rank]
		part.op = o
		p.in.push(part)
		p.out.push(sendItem{op: o, data: send(int(p.rank)), sums: known})
	}
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

// oldest is the first pending operation with a number above seq, nil if there is none.
func (g *Group) oldest(seq uint64) *op {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found *op
	for s, o := range g.pending {
		if s > seq && (found == nil || s < found.seq) {
			found = o
		}
	}
	return found
}
