package tcp

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between two ranks and does them harm. Faults apply to the bytes from the dialed
// rank to the dialer (back) after the handshake has passed.
type proxy struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn

	flip  atomic.Int64  // position in the backward stream of the byte to flip; 0 none
	stall chan struct{} // closed: forward nothing more, in both directions
	gone  chan struct{} // closed at the end of the test
}

// newProxy forwards connections to target.
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: target, stall: make(chan struct{}), gone: make(chan struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		close(p.gone)
		_ = ln.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		p.wg.Go(func() { p.pump(far, near, nil) })
		p.wg.Go(func() { p.pump(near, far, &p.flip) })
	}
}

// cut closes both ends of every connection, as a dying host does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

func (p *proxy) pump(dst, src net.Conn, flip *atomic.Int64) {
	defer func() { _ = dst.(*net.TCPConn).CloseWrite() }()
	buf, at := make([]byte, 32<<10), int64(0)
	for {
		n, err := src.Read(buf)
		select {
		case <-p.stall:
			<-p.gone
			return
		default:
		}
		if flip != nil {
			if f := flip.Load(); f > at && f <= at+int64(n) {
				buf[f-at-1] ^= 0x10
			}
		}
		at += int64(n)
		if _, werr := dst.Write(buf[:n]); werr != nil || err != nil {
			return
		}
	}
}
