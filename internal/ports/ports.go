package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// The range: above what services are registered at, below what outgoing connections get on Linux
// (from 32768) and on macOS (from 49152).
const (
	lowest = 10000
	beyond = 32000
	tries  = 1000
)

// Held is a port at which nobody listens by TCP. Its holder has the UDP port of the same number
// open, and that is what keeps others who choose a port away; the end of the process frees it.
type Held struct {
	addr string
	mark net.PacketConn
}

// Hold chooses a port at random and holds it.
func Hold() (*Held, error) {
	var err error
	for range tries {
		var h *Held
		if h, err = hold(lowest + rand.IntN(beyond-lowest)); err == nil {
			return h, nil
		}
	}
	return nil, err
}

func hold(port int) (*Held, error) {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	mark, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, mark.Close())
	}
	return &Held{addr, mark}, l.Close()
}

// Addr is host:port.
func (h *Held) Addr() string { return h.addr }

// Release lets others choose the port.
func (h *Held) Release() { _ = h.mark.Close() }
