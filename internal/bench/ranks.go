package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/collective/tree"
	"github.com/banyan-train/banyan/worker/kernel"
)

// groupSize is what the requests about collectives say.
type groupSize struct {
	Rank    int      `json:"rank"`
	Peers   []string `json:"peers"` // addresses that "listen" answered, by rank
	Bare    []string `json:"bare"`
	Bytes   int      `json:"bytes"`   // of the whole vector
	Sockets bool     `json:"sockets"` // not through memory, as between hosts
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
		Rank: collective.Rank(q.Rank), Peers: q.Peers, OnlySockets: q.Sockets})
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
	var sum *reduction
	switch q.Do {
	case "all_gather":
		do = func(ctx context.Context) error { return m.allGather(ctx, s.be, shard) }
	case "reduce_scatter":
		sum = newReduction(m, s.be, shard)
		do = sum.run
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
	if sum != nil { // the own shard holds the sum of every turn: one more, for who wants to see it
		m.fill(s.be)
		if err := sum.run(ctx); err != nil {
			return nil, err
		}
		copy(s.be.Host(m.out), sum.own)
		m.fill(s.be)
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
	m.fill(be)
	copy(be.Host(m.out), be.Host(m.vector))
	return nil
}

// fill writes what this rank brings.
func (m *member) fill(be kernel.Backend) {
	rank := int(m.group.Rank())
	for i, v := 0, be.Host(m.vector); i < len(v); i++ {
		v[i] = float32(i%1000+rank) / 1024
	}
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

// reduction is the ordered reduce-scatter, as worker/train does it in zero1: partials to their
// owners, who add them over the fixed tree, as they come, to what they hold themselves.
type reduction struct {
	m    *member
	sum  *tree.Pieces
	send [][]float32 // by rank
	own  []float32
}

func newReduction(m *member, be kernel.Backend, shard int) *reduction {
	world := m.group.Size()
	r := &reduction{m: m, send: make([][]float32, world)}
	r.sum = tree.NewPieces(world, shard, collective.PieceElements, tree.FloatsBySize(be.HostAdd))
	for k := range world {
		r.send[k] = be.Host(m.vector)[k*shard:][:shard]
	}
	me := int(m.group.Rank())
	r.own, r.send[me] = r.send[me], nil
	return r
}

func (r *reduction) run(ctx context.Context) error {
	me := r.m.group.Rank()
	r.sum.Reset()
	if err := r.sum.Put(partialOf(me), r.own, tree.Kept); err != nil {
		return err
	}
	counts := make([]int, len(r.send))
	for k := range counts {
		if k != int(me) {
			counts[k] = len(r.own)
		}
	}
	return r.m.group.AllToAllFunc(counts, r.send,
		func(from collective.Rank, at int, part []float32) error {
			return r.sum.PutPiece(partialOf(from), at, part, tree.Lent)
		}).Wait(ctx)
}

// partialOf is the place of a rank's one partial.
func partialOf(rank collective.Rank) tree.Partial {
	return tree.Partial{Leaf: int(rank), Count: 1}
}

// bytesOf is the memory of v.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}
