package shm

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// portion is how much is copied before the other side is told: it copies the last one out
	// while the next one comes in.
	portion = 64 << 10
	// ample is the most that a side sleeps for: who is woken should find enough to do.
	ample = ringLen / 2
)

// Conn is one end of a connection. One goroutine may read and one write at a time; more wait for
// each other.
type Conn struct {
	reading, writing sync.Mutex
	in, out          ring
	memory           []byte // nil after Close
	release          func([]byte) error
	data             *bell // wakes the readers of both ends
	room             *bell // wakes the writers
	once             sync.Once
	closed           atomic.Bool
	readBy, writeBy  deadline
}

var _ net.Conn = (*Conn)(nil)

func newConn(memory []byte, dialer bool, data, room *bell, release func([]byte) error) *Conn {
	c := &Conn{memory: memory, data: data, room: room, release: release}
	if c.in, c.out = rings(memory); dialer {
		c.in, c.out = c.out, c.in
	}
	return c
}

// Read implements net.Conn. Like a socket's it answers what is there, and waits only for the first
// byte.
func (c *Conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for {
		if err := c.usable(&c.readBy); err != nil {
			return 0, err
		}
		ended := c.in.closed.Load() != 0
		n, err := c.in.take(b)
		switch {
		case err != nil || len(b) == 0:
			return 0, err
		case n > 0:
			c.wakeWriter()
			return n, nil
		case ended:
			return 0, io.EOF
		}
		if err := c.await(len(b), 0); err != nil {
			return 0, err
		}
	}
}

// View has f read, or change, the next n bytes where they lie in the ring, and then takes them off
// it. It waits until they have come. It is false, and does nothing, if they wrap around the end of
// the ring: Read them. Close waits for f.
func (c *Conn) View(n int, f func([]byte)) (bool, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for {
		if err := c.usable(&c.readBy); err != nil {
			return false, err
		}
		ended := c.in.closed.Load() != 0
		b, err := c.in.peek(n)
		switch {
		case err != nil || b == nil:
			return false, err
		case len(b) == n:
			f(b)
			c.in.tail.Add(uint64(n))
			c.wakeWriter()
			return true, nil
		case ended:
			return false, io.ErrUnexpectedEOF
		}
		if err := c.await(n, len(b)); err != nil {
			return false, err
		}
	}
}

// await sleeps until there is more in the ring than there was, best n bytes.
func (c *Conn) await(n, was int) error {
	more := func() bool {
		now, err := c.in.filled()
		return now > was || err != nil || c.in.closed.Load() != 0
	}
	err := c.data.sleep(&c.in.reader, min(n, ample), more)
	if errors.Is(err, io.EOF) && more() {
		return nil // the other has ended after writing
	}
	return err
}

// wakeWriter wakes the other side if it waits for the room that there is. That it may have ended is
// nothing to a reader until it has read everything.
func (c *Conn) wakeWriter() {
	if filled, err := c.in.filled(); err == nil {
		_ = c.room.ringFor(&c.in.writer, ringLen-filled)
	}
}

// Write implements net.Conn. What it has taken is the other's to read even if this process ends.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.WriteBuffers(net.Buffers{b})
	return int(n), err
}

// WriteBuffers writes one after the other; the other side is not woken for the first few bytes
// alone. Unlike net.Buffers.WriteTo it leaves v as it is.
func (c *Conn) WriteBuffers(v net.Buffers) (written int64, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.usable(&c.writeBy); err != nil {
		return 0, err
	}
	for _, b := range v {
		for len(b) > 0 {
			n, err := c.put(b)
			written += int64(n)
			if err != nil {
				return written, err
			}
			b = b[n:]
		}
	}
	return written, c.data.ringFor(&c.out.reader, ringLen)
}

// put writes the beginning of b, when there is room.
func (c *Conn) put(b []byte) (int, error) {
	for {
		if err := c.usable(&c.writeBy); err != nil {
			return 0, err
		}
		n, err := c.out.put(b, portion)
		if n > 0 || err != nil {
			if filled, _ := c.out.filled(); err == nil {
				err = c.data.ringFor(&c.out.reader, filled)
			}
			return n, err
		}
		err = c.room.sleep(&c.out.writer, min(len(b), ample), func() bool {
			n, err := c.out.filled()
			return n < ringLen || err != nil
		})
		if errors.Is(err, io.EOF) {
			err = io.ErrClosedPipe
		}
		if err != nil {
			return 0, err
		}
	}
}

// CloseWrite says that nothing more will be written: the other side reads what there is, and then
// io.EOF.
func (c *Conn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.out.control.closed.Store(1)
	return c.data.ringFor(&c.out.reader, ringLen)
}

// Close implements net.Conn. It wakes whoever reads or writes.
func (c *Conn) Close() (err error) {
	c.once.Do(func() {
		c.closed.Store(true)
		err = errors.Join(c.data.Close(), c.room.Close())
		c.reading.Lock()
		defer c.reading.Unlock()
		c.writing.Lock()
		defer c.writing.Unlock()
		err = errors.Join(err, c.release(c.memory))
		c.memory, c.in, c.out = nil, ring{}, ring{}
	})
	return err
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.data.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.data.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return c.data.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return c.room.SetReadDeadline(t)
}

// usable is why nothing may be read, or written, any more. A socket that is slept on says the same,
// but who always finds something to do never sleeps.
func (c *Conn) usable(by *deadline) error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case by.over():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// deadline is a moment in nanoseconds since 1970; 0 is never.
type deadline struct{ atomic.Int64 }

func (d *deadline) set(t time.Time) {
	if t.IsZero() {
		d.Store(0)
		return
	}
	d.Store(max(t.UnixNano(), 1))
}

func (d *deadline) over() bool {
	at := d.Load()
	return at != 0 && time.Now().UnixNano() >= at
}
