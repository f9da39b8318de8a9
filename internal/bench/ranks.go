package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// groupSize is what the requests about collectives say.
type groupSize struct {
	Rank  int      `json:"rank"`
	Peers []string `json:"peers"` // addresses that "listen" answered, by rank
	Bare  []string `json:"bare"`
	Bytes int      `json:"bytes"` // of the whole vector
}

// member is this process as a rank: of a group, and of a mesh of plain sockets beside it.
type member struct {
	listener *tcp.Listener
	plain    net.Listener
	group    *tcp.Group
	conns    []net.Conn // by rank, nil for this one
	vector   kernel.Tensor
	out      kernel.Tensor // of the whole, or of a shard
}

// How a reduce-scatter is cut: pieces of a shard, some of which are under way while one is added.
const (
	pieceElements = 512 << 10
	piecesAhead   = 3
)

// patience bounds everything that waits for other ranks.
const patience = 2 * time.Minute

func (s *server) listen() (answer, error) {
	l, err := tcp.Listen("127.0.0.1")
	if err != nil {
		return nil, err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.member = &member{listener: l, plain: plain}
	return answer{"address": l.Addr(), "bare": plain.Addr().String()}, nil
}

func (s *server) join(q groupSize) (answer, error) {
	m := s.member
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	m.group, err = m.listener.Join(ctx, tcp.Config{Run: "bench", Generation: 1,
		Rank: collective.Rank(q.Rank), Peers: q.Peers})
	if err != nil {
		return nil, err
	}
	return answer{"world": m.group.Size()}, m.joinBare(q.Bare)
}

// joinBare connects plain sockets, the higher rank to the lower.
func (m *member) joinBare(addrs []string) error {
	me := int(m.group.Rank())
	if len(addrs) != m.group.Size() {
		return fmt.Errorf("%d plain addresses for %d ranks", len(addrs), m.group.Size())
	}
	m.conns = make([]net.Conn, len(addrs))
	for r := range me {
		c, err := net.Dial("tcp", addrs[r])
		if err != nil {
			return err
		}
		if _, err := c.Write([]byte{byte(me)}); err != nil {
			return err
		}
		m.conns[r] = c
	}
	for range len(addrs) - 1 - me {
		c, err := m.plain.Accept()
		if err != nil {
			return err
		}
		var rank [1]byte
		if _, err := io.ReadFull(c, rank[:]); err != nil {
			return err
		}
		m.conns[rank[0]] = c
	}
	return nil
}

func (m *member) close() {
	_ = m.plain.Close()
	for _, c := range m.conns {
		if c != nil {
			_ = c.Close()
		}
	}
	if m.group == nil {
		_ = m.listener.Close()
		return
	}
	_ = m.group.Close() // a peer that died has been told to whoever drives this
}

// collective times one of all_gather, reduce_scatter and bare over a vector of q.Bytes.
func (s *server) collective(q *request, repeat int) (answer, error) {
	m := s.member
	world := m.group.Size()
	shard := q.Bytes / 4 / world
	if shard < 1 {
		return nil, fmt.Errorf("%d bytes for %d ranks", q.Bytes, world)
	}
	if err := m.allocate(s.be, shard*world); err != nil {
		return nil, err
	}
	var do func(context.Context) error
	var sums *reduction
	switch q.Do {
	case "all_gather":
		do = func(ctx context.Context) error { return m.allGather(ctx, s.be, shard) }
	case "reduce_scatter":
		sums = newReduction(m, s.be, shard)
		defer sums.close()
		do = sums.run
	case "bare":
		do = func(context.Context) error { return m.bare(s.be, shard) }
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := do(ctx); err != nil { // warms up: memory, windows of the sockets
		return nil, err
	}
	if err := m.group.Barrier(ctx); err != nil {
		return nil, err
	}
	began, used := time.Now(), cpuTime()
	for range repeat {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	a := answer{"seconds": time.Since(began).Seconds() / float64(repeat),
		"cpu_seconds": (cpuTime() - used).Seconds() / float64(repeat)}
	if sums != nil {
		sums.copyTo(s.be.Host(m.out))
	}
	return a, nil
}

// allocate makes the vectors, once a size.
func (m *member) allocate(be kernel.Backend, n int) error {
	if m.vector.Len == n {
		return nil
	}
	for _, t := range []*kernel.Tensor{&m.vector, &m.out} {
		if !t.IsZero() {
			be.Free(*t)
		}
		var err error
		if *t, err = be.Alloc(n, kernel.F32); err != nil {
			return err
		}
	}
	rank := int(m.group.Rank())
	for i, v := 0, be.Host(m.vector); i < len(v); i++ {
		v[i] = float32(i%1000+rank) / 1024
	}
	copy(be.Host(m.out), be.Host(m.vector))
	return nil
}

func (m *member) allGather(ctx context.Context, be kernel.Backend, shard int) error {
	counts := make([]int, m.group.Size())
	for r := range counts {
		counts[r] = shard
	}
	out := be.Host(m.out) // the own part is in its place
	return m.group.AllGather(out, counts, out[int(m.group.Rank())*shard:][:shard]).Wait(ctx)
}

// bare moves what an all-gather and a reduce-scatter both move, and nothing else: the most that
// sockets give on this host.
func (m *member) bare(be kernel.Backend, shard int) error {
	send, recv := bytesOf(be.Host(m.vector)), bytesOf(be.Host(m.out))
	var all errgroup.Group
	for r, c := range m.conns {
		if c == nil {
			continue
		}
		all.Go(func() error {
			_, err := c.Write(send[4*r*shard:][:4*shard])
			return err
		})
		all.Go(func() error {
			_, err := io.ReadFull(c, recv[4*r*shard:][:4*shard])
			return err
		})
	}
	return all.Wait()
}

// reduction is the ordered reduce-scatter, as worker/train does it: partials to their owners, who
// add them over the fixed tree. The result stays with the sums.
type reduction struct {
	m      *member
	be     kernel.Backend
	shard  int
	pools  map[int]*vectors // by length
	sums   []*tree.Sum[kernel.Tensor]
	flying []piece
}

// piece is elements [at, at+n) of every shard, under way.
type piece struct {
	sum    *tree.Sum[kernel.Tensor]
	handle collective.Handle
	from   []kernel.Tensor // by rank
}

func newReduction(m *member, be kernel.Backend, shard int) *reduction {
	r := &reduction{m: m, be: be, shard: shard, pools: map[int]*vectors{}}
	for at := 0; at < shard; at += pieceElements {
		n := min(pieceElements, shard-at)
		if r.pools[n] == nil {
			r.pools[n] = &vectors{be: be, n: n}
		}
		r.sums = append(r.sums, tree.NewSum(m.group.Size(), r.pools[n]))
	}
	return r
}

func (r *reduction) run(ctx context.Context) error {
	for at := 0; at < r.shard || len(r.flying) > 0; at += pieceElements {
		if at < r.shard {
			if err := r.launch(at, min(pieceElements, r.shard-at)); err != nil {
				return err
			}
		}
		if len(r.flying) > piecesAhead || at >= r.shard {
			if err := r.land(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reduction) launch(at, n int) error {
	world, me := r.m.group.Size(), int(r.m.group.Rank())
	p := piece{sum: r.sums[at/pieceElements], from: make([]kernel.Tensor, world)}
	p.sum.Reset()
	send, recv := make([][]float32, world), make([][]float32, world)
	for k := range world {
		part := r.m.vector.Slice(k*r.shard+at, k*r.shard+at+n)
		if k == me {
			p.from[k] = part
			continue
		}
		v, err := r.pools[n].Take()
		if err != nil {
			return err
		}
		p.from[k], recv[k], send[k] = v, r.be.Host(v), r.be.Host(part)
	}
	p.handle = r.m.group.AllToAll(recv, send)
	r.flying = append(r.flying, p)
	return nil
}

func (r *reduction) land(ctx context.Context) error {
	p := r.flying[0]
	if err := p.handle.Wait(ctx); err != nil {
		return err
	}
	r.flying = r.flying[1:]
	me := int(r.m.group.Rank())
	for k, v := range p.from {
		if k == me {
			continue
		}
		if err := p.sum.Put(k, 0, 1, v, true); err != nil {
			return err
		}
	}
	// The own partial is not the sum's to keep: last, it is added where another lies.
	return p.sum.Put(me, 0, 1, p.from[me], false)
}

// copyTo writes the own shard of the sum.
func (r *reduction) copyTo(out []float32) {
	for i, sum := range r.sums {
		total, _ := sum.Result()
		copy(out[i*pieceElements:], r.be.Host(total))
	}
}

func (r *reduction) close() {
	for _, sum := range r.sums {
		sum.Reset()
	}
	for _, p := range r.pools {
		for _, v := range p.free {
			r.be.Free(v)
		}
	}
}
