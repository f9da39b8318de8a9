package nccl

import (
	"context"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// slot is a pair of staging buffers with a stream of its own: what this rank sends and what it
// receives, pinned on the host and once more on the device.
type slot struct {
	stream             cuda.Stream
	pinSend, pinRecv   *cuda.Host
	devSend, devRecv   cuda.Addr
	done               *cuda.Event
	list               *cuda.List
	call               *Call
	hostSend, hostRecv []float32
}

// streams of the slots: two, so that one moves while the other copies.
var streams = []cuda.Stream{cuda.Gather, cuda.Scatter}

// newSlots takes the memory of the staging buffers. What it got before an error is in the answer,
// to be freed.
func newSlots(ctx context.Context, dev *cuda.Device, bytes int) ([]*slot, error) {
	var out []*slot
	for _, stream := range streams {
		s := &slot{stream: stream}
		out = append(out, s)
		var errs [5]error
		s.pinSend, errs[0] = dev.AllocHost(ctx, int64(bytes), "collective staging")
		s.pinRecv, errs[1] = dev.AllocHost(ctx, int64(bytes), "collective staging")
		s.devSend, errs[2] = dev.Alloc(ctx, int64(bytes), "collective staging")
		s.devRecv, errs[3] = dev.Alloc(ctx, int64(bytes), "collective staging")
		s.done, errs[4] = dev.NewEvent(ctx, false)
		if err := errors.Join(errs[:]...); err != nil {
			return out, err
		}
		s.hostSend, s.hostRecv = s.pinSend.Floats(), s.pinRecv.Floats()
	}
	return out, nil
}

// freeSlots gives the memory back. Nothing may be under way on the slots' streams.
func freeSlots(ctx context.Context, dev *cuda.Device, slots []*slot) error {
	var errs []error
	for _, s := range slots {
		s.reset()
		for _, h := range []*cuda.Host{s.pinSend, s.pinRecv} {
			if h != nil {
				errs = append(errs, dev.FreeHost(ctx, h))
			}
		}
		for _, a := range []cuda.Addr{s.devSend, s.devRecv} {
			if a != 0 {
				errs = append(errs, dev.Free(ctx, a))
			}
		}
		if s.done != nil {
			errs = append(errs, dev.FreeEvent(ctx, s.done))
		}
	}
	return errors.Join(errs...)
}

// reset frees the commands of the last chunk.
func (s *slot) reset() {
	if s.list != nil {
		s.list.Free()
		s.call.Free()
		s.list, s.call = nil, nil
	}
}

// chunk is the part of an operation that one slot carries: elements [at, at+room) of what goes
// between each pair.
type chunk struct {
	op   *op
	slot *slot
	at   int
	last bool
}

// part is the chunk's part of v.
func (c *chunk) part(v []float32, room int) []float32 {
	return v[min(c.at, len(v)):min(c.at+room, len(v))]
}

// comes is the number of elements that the chunk brings from rank r.
func (c *chunk) comes(r, room int) int { return min(max(0, c.op.counts[r]-c.at), room) }

// room is the number of elements that a slot has for each rank: whole pieces.
func (g *Group) room() int {
	room := len(g.slots[0].hostSend) / g.size
	return room - room%collective.PieceElements
}

// chunks is the number of chunks of an operation on this rank. Pairs that have less take part in
// fewer; both of a pair know how many.
func (g *Group) chunks(o *op) int {
	longest := 0
	for r := range g.size {
		longest = max(longest, len(o.send[r]), o.counts[r])
	}
	return (longest + g.room() - 1) / g.room()
}

// fill copies what the chunk sends into the slot, and makes the commands that move it.
func (g *Group) fill(c *chunk) error {
	s, room := c.slot, g.room()
	s.reset()
	s.list, s.call = g.cfg.Device.NewList(), g.comm.NewCall(s.stream)
	if c.op.even {
		g.fillEven(c, room)
	} else {
		g.fillPairs(c, room)
	}
	if err := s.call.PutInto(s.list); err != nil {
		return err
	}
	for r := range g.size {
		if n := c.comes(r, room); n > 0 {
			at := int64(4 * g.place(c, r, room))
			s.list.Download(s.stream, s.pinRecv, at, s.devRecv+cuda.Addr(at), int64(4*n))
		}
	}
	s.list.Record(s.stream, s.done)
	return nil
}

// place is where in the receiving buffer rank r's part of a chunk lies, in elements.
func (g *Group) place(c *chunk, r, room int) int {
	if c.op.even {
		room = c.comes((g.rank+1)%g.size, room) // every part is as long as any
	}
	return r * room
}

// fillEven makes one all-gather of NCCL's.
func (g *Group) fillEven(c *chunk, room int) {
	s := c.slot
	part := c.part(c.op.send[(g.rank+1)%g.size], room)
	copy(s.hostSend, part)
	s.list.Upload(s.stream, s.devSend, s.pinSend, 0, int64(4*len(part)))
	s.call.AllGather(s.devRecv, s.devSend, len(part), Float32)
}

// fillPairs makes a send and a receive for each peer that has something left. An all-gather sends
// the same part to all, and stages it once.
func (g *Group) fillPairs(c *chunk, room int) {
	s := c.slot
	staged := false
	for r := range g.size {
		part := c.part(c.op.send[r], room)
		at := r * room
		if c.op.kind == kindAllGather {
			at = 0
		}
		if len(part) > 0 {
			if !staged || c.op.kind != kindAllGather {
				copy(s.hostSend[at:], part)
				s.list.Upload(s.stream, s.devSend+cuda.Addr(4*at), s.pinSend, int64(4*at),
					int64(4*len(part)))
				staged = true
			}
			s.call.Send(s.devSend+cuda.Addr(4*at), len(part), Float32, r)
		}
		if n := c.comes(r, room); n > 0 {
			s.call.Recv(s.devRecv+cuda.Addr(4*r*room), n, Float32, r)
		}
	}
}

// issue puts the operations on the device, chunk by chunk, in order.
func (g *Group) issue() {
	for {
		o, ok := g.toIssue.pop(g.aborted)
		if !ok {
			return
		}
		n := g.chunks(o)
		if n == 0 {
			o.finish()
		}
		for i := range n {
			c := &chunk{op: o, at: i * g.room(), last: i == n-1}
			select {
			case c.slot = <-g.free:
			case <-g.aborted:
				return
			}
			if err := g.load(c); err != nil {
				g.fail(fmt.Errorf("%v: %w", o, err))
				return
			}
			g.issued <- c // there is room for every slot
		}
	}
}

// load fills the slot and lets the device's thread issue it.
func (g *Group) load(c *chunk) error {
	if !g.takeHands() {
		return g.Err()
	}
	err := g.fill(c)
	g.hands.RUnlock()
	if err != nil {
		return err
	}
	if err := g.cfg.Device.Run(g.patient, c.slot.list); err != nil {
		return c.slot.call.Explain(err)
	}
	return nil
}

// collect takes what has come out of the slots, in the order in which they were issued.
func (g *Group) collect() {
	for {
		var c *chunk
		select {
		case c = <-g.issued:
		case <-g.aborted:
			return
		}
		if err := g.cfg.Device.Wait(g.patient, c.slot.done); err != nil {
			g.fail(fmt.Errorf("%v: %w", c.op, err))
			return
		}
		g.moved.Add(1)
		if err := g.handOut(c); err != nil {
			g.Abort(err)
			return
		}
		g.free <- c.slot
		if c.last {
			c.op.finish()
		}
	}
}

// handOut gives what a chunk has brought to its operation: a piece of every rank, then the next of
// every rank, as those belong together and are in a cache together.
func (g *Group) handOut(c *chunk) error {
	room := g.room()
	for at := 0; at < room; at += collective.PieceElements {
		for r := range g.size {
			end := min(at+collective.PieceElements, c.comes(r, room))
			if at >= end {
				continue
			}
			from := g.place(c, r, room)
			part := c.slot.hostRecv[from+at : from+end : from+end]
			if !g.takeHands() {
				return g.Err()
			}
			err := c.op.take(collective.Rank(r), c.at+at, part)
			g.hands.RUnlock()
			if err != nil {
				return fmt.Errorf("%v: piece of rank %d refused: %w", c.op, r, err)
			}
			g.moved.Add(1)
		}
	}
	return nil
}

// takeHands begins to touch callers' buffers or to call take, unless the group is aborted.
func (g *Group) takeHands() bool {
	g.hands.RLock()
	select {
	case <-g.aborted:
		g.hands.RUnlock()
		return false
	default:
		return true
	}
}

// awaitHands returns, after the abort, when nobody touches callers' buffers any more.
func (g *Group) awaitHands() {
	g.hands.Lock()
	//lint:ignore SA2001 taken and given back: that is the waiting
	g.hands.Unlock()
}
