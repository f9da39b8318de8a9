package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/banyan-train/banyan/collective/shm"
)

// Listener is the address of one rank before it has a group. It serves one Join.
type Listener struct {
	ln   net.Listener
	twin net.Listener  // for ranks of this host; nil: they use sockets like others
	stop chan struct{} // closed by Close

	mu     sync.Mutex
	joined bool
	wg     sync.WaitGroup // accept loop and handshakes under way
	once   sync.Once
}

// Listen opens a free port on host ("" means all interfaces). The caller tells Addr to the other
// ranks, then calls Join. Connections made in between wait.
func Listen(host string) (*Listener, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("listen: this host is big-endian; " +
			"the tcp collective sends memory as it is and needs little-endian hosts")
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for ranks: %w", err)
	}
	twin, err := shm.Listen(ln.Addr())
	if err != nil {
		twin = nil // without it ranks of this host are as far away as others
	}
	return &Listener{ln: ln, twin: twin, stop: make(chan struct{})}, nil
}

// Addr is the host:port that other ranks dial. With host "" in Listen the host part is unspecified
// and the caller replaces it.
func (l *Listener) Addr() string { return l.ln.Addr().String() }

// Close frees the port. A failed Join and the end of the Group call it too.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.stop)
		err = l.ln.Close()
		if l.twin != nil {
			err = errors.Join(err, l.twin.Close())
		}
	})
	l.wg.Wait()
	return err
}

// claim marks the listener as used.
func (l *Listener) claim() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.joined {
		return errors.New("a Listener serves one Join: open a new one for a new generation")
	}
	l.joined = true
	return nil
}

// serve accepts connections until Close, and hands each to handle in a goroutine of its own, so
// that a caller who says nothing or nonsense delays nobody. At most limit are handled at once;
// beyond it a connection is closed unanswered, and a real peer tries again.
func (l *Listener) serve(limit int, handle func(net.Conn)) {
	slots := make(chan struct{}, limit)
	l.wg.Go(func() { l.accept(l.ln, slots, handle) })
	if l.twin != nil {
		l.wg.Go(func() { l.accept(l.twin, slots, handle) })
	}
}

func (l *Listener) accept(from net.Listener, slots chan struct{}, handle func(net.Conn)) {
	for {
		conn, err := from.Accept()
		if err != nil {
			select {
			case <-l.stop:
				return
			case <-time.After(acceptPause): // out of file descriptors, for example
				continue
			}
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		l.wg.Go(func() {
			defer func() { <-slots }()
			handle(conn)
		})
	}
}
