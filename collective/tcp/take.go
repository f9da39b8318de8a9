package tcp

import (
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/shm"
)

// expect compares the first header of a message with the operation that it should belong to, and
// answers the number of bytes to come.
func (i *recvItem) expect(h header) (uint64, error) {
	if h.seq != i.op.seq || h.kind != i.op.kind {
		return 0, fmt.Errorf("%w: it calls %v (operation %d), this rank %v",
			ErrMismatch, h.kind, h.seq, i.op)
	}
	want := uint64(len(i.data))
	if i.take != nil {
		want = i.length
	}
	switch {
	case i.bytes == nil && h.total != want:
		return 0, fmt.Errorf("%w: counts differ: it sends %d bytes, this rank expects %d",
			ErrMismatch, h.total, want)
	case i.bytes != nil && h.total > MaxBytesVector:
		return 0, fmt.Errorf("%w: vector of %d bytes, at most %d",
			ErrMismatch, h.total, MaxBytesVector)
	case i.bytes != nil:
		i.data = make([]byte, h.total)
		*i.bytes = i.data
	}
	return h.total, nil
}

// take receives all of item, whose first header has been read.
func (p *peer) take(r io.Reader, item recvItem, h header, head *[headerLen]byte) error {
	total, err := item.expect(h)
	if err != nil {
		return err
	}
	for at := uint64(0); ; {
		if n := min(total-at, maxChunk); uint64(h.length) != n {
			return fmt.Errorf("%w: frame of %d bytes where %d belong", ErrCorrupt, h.length, n)
		}
		if err := p.takeFrame(r, item, h, at); err != nil {
			return err
		}
		if at += uint64(h.length); at == total {
			return nil
		}
		if h, err = p.readHeader(r, head); err != nil {
			return err
		}
		if h.kind == kindAbort {
			return peerCause(r, h)
		}
		if h.seq != item.op.seq || h.kind != item.op.kind || h.total != total {
			return fmt.Errorf("%w: %v (operation %d, %d bytes) inside of %v",
				ErrCorrupt, h.kind, h.seq, h.total, item.op)
		}
	}
}

// takeFrame receives the payload of a frame, which begins at byte at of its message. Each block is
// checked, and handed on, while it is in the cache.
func (p *peer) takeFrame(r io.Reader, item recvItem, h header, at uint64) error {
	for i, left := 0, uint64(h.length); left > 0; i++ {
		n := min(left, blockLen)
		if item.take != nil && !item.pace.keep(int(at/blockLen), p.g.aborted) {
			return collective.ErrAborted
		}
		err := p.block(r, item, at, n, func(block []byte) error {
			if sum := xxh3.Hash(block); sum != h.sums[i] {
				return fmt.Errorf("%w: payload checksum %016x, the sender's is %016x, "+
					"at byte %d of %d", ErrCorrupt, sum, h.sums[i], at, h.total)
			}
			if item.take == nil {
				return nil
			}
			if err := item.take(p.rank, int(at/4), floatsOf(block)); err != nil {
				return fmt.Errorf("%w: %w", errTake, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if item.take != nil {
			taken := int(at/blockLen) + 1
			if at+n == h.total {
				taken = all
			}
			item.pace.took(int(p.rank), taken)
		}
		at += n
		left -= n
	}
	return nil
}

// block receives n bytes of a message from at on and has use check them: in their place, or where
// pieces go through, which is memory that the peer shares or one piece of its own.
func (p *peer) block(r io.Reader, item recvItem, at, n uint64, use func([]byte) error) error {
	var b []byte
	if item.take == nil {
		b = item.data[at : at+n]
	} else {
		if done, err := p.view(n, use); done {
			return err
		}
		if p.piece == nil {
			p.piece = make([]float32, collective.PieceElements)
		}
		b = bytesOf(p.piece)[:n]
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return use(b)
}

// view has use check the next n bytes where they lie. It is false, and has done nothing, if they
// have to be read.
func (p *peer) view(n uint64, use func([]byte) error) (done bool, err error) {
	shared, ok := p.conn.(*shm.Conn)
	if !ok {
		return false, nil
	}
	done, lost := shared.View(int(n), func(b []byte) {
		p.bytesRead.Add(n)
		err = use(b)
	})
	if err == nil && lost != nil {
		return true, fmt.Errorf("%w: %w", ErrLost, lost)
	}
	return done, err
}
