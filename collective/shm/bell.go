package shm

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bell is a socket on which one side sleeps until the other writes a byte to it. Bytes mean
// nothing: one too many wakes somebody who looks and sleeps again.
type bell struct {
	*net.UnixConn
	raw   syscall.RawConn
	bytes [64]byte // of who sleeps
}

func newBell(c *net.UnixConn) (*bell, error) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = c.SetWriteDeadline(time.Time{}) // nobody waits to ring
	}
	return &bell{UnixConn: c, raw: raw}, err
}

// sleep waits until the other side rings for want, which says what this one waits for, or ends
// (io.EOF), or the deadline is over. It does not if ready says after all that there is something
// to do.
func (b *bell) sleep(want *atomic.Uint32, n int, ready func() bool) error {
	want.Store(uint32(n))
	// Whoever changes what ready looks at looks at want afterwards: one of the two sees the other.
	if ready() {
		want.Store(0)
		return nil
	}
	_, err := b.Read(b.bytes[:])
	want.Store(0)
	if errors.Is(err, unix.ECONNRESET) {
		err = io.EOF // it died with bytes of ours unread
	}
	return err
}

// ringFor wakes the other side if it sleeps and have is as much as it waits for.
func (b *bell) ringFor(want *atomic.Uint32, have int) error {
	n := want.Load()
	if n == 0 || int(n) > have || !want.CompareAndSwap(n, 0) {
		return nil
	}
	var err error
	fault := b.raw.Write(func(fd uintptr) bool {
		if _, err = unix.Write(int(fd), []byte{1}); err == unix.EAGAIN {
			err = nil // a full socket rings already
		}
		return true
	})
	if fault != nil {
		return fault
	}
	return err
}
