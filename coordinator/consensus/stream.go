package consensus

import (
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// rpcTimeout bounds one exchange between members, dialing included. raft scales it up for
// snapshots.
const rpcTimeout = 2 * time.Second

// streamLayer carries raft's connections over plain TCP. TLS goes in here: wrap the listener, and
// the connection that Dial makes; nothing else in this package touches a socket. It knows every
// open connection, because raft closes only the ones it dialed, and a member that is out must be
// out.
type streamLayer struct {
	listener  net.Listener
	advertise advertised

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

var _ raft.StreamLayer = (*streamLayer)(nil)

// advertised is an address as the others dial it. It is not resolved here: a name may only mean
// something to them, or only later.
type advertised string

// Network names the transport.
func (advertised) Network() string { return "tcp" }

// String returns host:port.
func (a advertised) String() string { return string(a) }

func newStreamLayer(l net.Listener, advertise string) *streamLayer {
	return &streamLayer{
		listener: l, advertise: advertised(advertise), conns: map[net.Conn]struct{}{},
	}
}

// Dial connects to another member.
func (s *streamLayer) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", string(addr), timeout)
	if err != nil {
		return nil, err
	}
	return s.track(c)
}

// Accept waits for a connection from another member.
func (s *streamLayer) Accept() (net.Conn, error) {
	c, err := s.listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(c)
}

// Addr is the advertised address: raft tells it to the others.
func (s *streamLayer) Addr() net.Addr { return s.advertise }

// Close stops listening and closes every connection. It may be called more than once.
func (s *streamLayer) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		_ = c.(*trackedConn).Conn.Close() // broken already, or now
	}
	return s.listener.Close()
}

func (s *streamLayer) track(c net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: c, layer: s}
	s.conns[t] = struct{}{}
	return t, nil
}

type trackedConn struct {
	net.Conn
	layer *streamLayer
}

// Close closes the connection and forgets it.
func (t *trackedConn) Close() error {
	t.layer.mu.Lock()
	delete(t.layer.conns, t)
	t.layer.mu.Unlock()
	return t.Conn.Close()
}

// addressBook tells raft where a member is. The Config's word counts, not the address in an old
// log: a group may come back on other ports.
type addressBook map[raft.ServerID]raft.ServerAddress

var _ raft.ServerAddressProvider = addressBook(nil)

// ServerAddr returns the address of a member; raft falls back to the one in its log.
func (a addressBook) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if addr, ok := a[id]; ok {
		return addr, nil
	}
	return "", raft.ErrNotVoter
}
