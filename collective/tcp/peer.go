package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/shm"
)

// goodbyeTime is how long a dead group tries to tell a peer why. Nobody waits for it but Close.
const goodbyeTime = time.Second

// peer is the connection to one other rank: a sender and a receiver goroutine, each with the
// items of posted operations in order of their sequence numbers.
type peer struct {
	g    *Group
	rank collective.Rank
	conn net.Conn
	out  *queue[sendItem]
	in   *queue[recvItem]

	piece []float32 // of the receiver: what AllToAllFunc hands on

	// Watched by the watchdog. Operations end in order on a connection, so a number says it all.
	sent, received       atomic.Uint64 // sequence number of the last finished operation
	bytesSent, bytesRead atomic.Uint64
}

// fail aborts the group because of this peer.
func (p *peer) fail(o *op, err error) {
	e := &PeerError{Ranks: []collective.Rank{p.rank}, Err: err}
	e.Seq = p.received.Load() + 1
	if o != nil {
		e.Op, e.Seq = o.kind.String(), o.seq
	}
	p.g.Abort(e)
}

// blame aborts the group because of err, which is the peer's fault unless the caller of the
// operation refused what it sent.
func (p *peer) blame(o *op, err error) {
	if errors.Is(err, errTake) {
		p.g.Abort(fmt.Errorf("%v: %w", o, err))
		return
	}
	p.fail(o, err)
}

// send is the sender goroutine. It ends with an abort, or when the group closes and all items are
// out.
func (p *peer) send() {
	for {
		item, ok := p.out.pop(p.g.aborted, p.g.closing)
		if !ok {
			p.g.busy.Done()
			p.goodbye()
			return
		}
		h := header{kind: item.op.kind, seq: item.op.seq}
		if whole, err := p.write(h, item.data, item.sums); err != nil {
			p.g.busy.Done()
			p.awaitCause()
			p.fail(item.op, fmt.Errorf("%w: %w", ErrLost, err))
			if whole {
				p.goodbye()
			}
			_ = p.conn.Close() // cut in mid-frame, nothing that follows could be understood
			return
		}
		p.sent.Store(item.op.seq)
		item.op.finish()
	}
}

// awaitCause gives the receiver a moment after a failed write: the peer may have sent why its group
// died, and that names the culprit, which may be a third rank.
func (p *peer) awaitCause() {
	select {
	case <-p.g.aborted:
	case <-time.After(goodbyeTime):
	}
}

// write sends data as frames; at least one. It stops when the group is aborted. After an error
// whole tells whether it stopped between two frames, where an abort frame can follow.
func (p *peer) write(h header, data []byte, known *sums) (whole bool, err error) {
	h.sender, h.group, h.total = p.g.self, p.g.tag, uint64(len(data))
	var head [headerLen]byte
	for frame := 0; frame == 0 || len(data) > 0; frame++ {
		chunk := data[:min(len(data), maxChunk)]
		data = data[len(chunk):]
		if h.length = uint32(len(chunk)); known == nil {
			h.sums = sumsOf(chunk)
		} else {
			h.sums = known.of(frame, chunk)
		}
		h.encode(&head)
		if h.kind != kindAbort && p.g.isAborted() {
			return true, collective.ErrAborted
		}
		n, err := writeTo(p.conn, net.Buffers{head[:], chunk})
		p.bytesSent.Add(uint64(n))
		if err != nil {
			return n == 0, err
		}
	}
	return true, nil
}

// writeTo writes all of v as one, where the connection can.
func writeTo(c net.Conn, v net.Buffers) (int64, error) {
	if shared, ok := c.(*shm.Conn); ok {
		return shared.WriteBuffers(v)
	}
	return v.WriteTo(c)
}

// goodbye tells the peer that this rank leaves, or why its group died, and ends the sending half.
func (p *peer) goodbye() {
	h, text := header{kind: kindLeave}, ""
	if cause := p.g.reason(); cause != nil {
		h.kind, text = kindAbort, cause.Error()
		defer func() { _ = p.conn.Close() }()
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
	_, _ = p.write(h, []byte(text[:min(len(text), maxReason)]), nil) // best effort
	if c, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// receive is the receiver goroutine. It reads a header first and then waits for its operation to
// be posted: so the death of a peer is seen while no operation is under way, and a peer that is
// ahead is held back by TCP and costs no memory.
func (p *peer) receive() {
	defer p.g.busy.Done()
	// Not buffered: what is left over of a buffer would shift the payloads, and the kernel copies
	// to an odd address at half the speed on some processors.
	r := &countingReader{p.conn, &p.bytesRead}
	var head [headerLen]byte
	for {
		h, err := p.readHeader(r, &head)
		if err != nil {
			p.lose(err)
			return
		}
		switch h.kind {
		case kindLeave:
			p.left()
			return
		case kindAbort:
			p.fail(nil, peerCause(r, h))
			return
		}
		item, ok := p.in.pop(p.g.aborted, p.g.closing)
		if !ok {
			return // this rank has closed or aborted, and says so to the peer
		}
		if err := p.take(r, item, h, &head); err != nil {
			p.blame(item.op, err)
			return
		}
		p.received.Store(item.op.seq)
		item.op.finish()
	}
}

// peerCause reads why the peer's group died.
func peerCause(r io.Reader, h header) error {
	text := make([]byte, min(h.length, maxReason))
	n, _ := io.ReadFull(r, text)
	return fmt.Errorf("%w: %s", ErrPeerAborted, printable(text[:n]))
}

// lose handles the end of the connection between two operations.
func (p *peer) lose(err error) {
	select {
	case <-p.g.closing: // every operation is done; the peer may go as it likes
	default:
		p.fail(p.g.oldest(p.received.Load()), err)
	}
}

// left waits, after the peer's leave, for an operation that would need it, or the end.
func (p *peer) left() {
	if item, ok := p.in.pop(p.g.aborted, p.g.closing); ok {
		p.fail(item.op, ErrLeft)
	}
}

func (p *peer) readHeader(r io.Reader, head *[headerLen]byte) (header, error) {
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return header{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	h, err := decodeHeader(head)
	switch {
	case err != nil:
		return header{}, err
	case h.group != p.g.tag:
		return header{}, fmt.Errorf("%w: frame of group %016x, this is group %016x",
			ErrMismatch, h.group, p.g.tag)
	case h.sender != p.rank:
		return header{}, fmt.Errorf("%w: frame of rank %d", ErrMismatch, h.sender)
	}
	return h, nil
}

// countingReader counts bytes as they come, for the watchdog.
type countingReader struct {
	r net.Conn
	n *atomic.Uint64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(uint64(n))
	return n, err
}
