package ports

import (
	"net"
	"testing"
)

// TestHold: a held port is chosen by nobody else, its TCP side is free, and it can be held again
// once it was let go of.
func TestHold(t *testing.T) {
	h, err := Hold()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", h.Addr())
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if port < lowest || port >= beyond {
		t.Errorf("port %d lies outside of %d to %d", port, lowest, beyond)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if other, err := hold(port); err == nil {
		other.Release()
		t.Error("a held port is given to another")
	}
	h.Release()
	again, err := hold(port)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again.Release()
}

// TestOccupiedPort: a port at which somebody listens is given to nobody, and none is left held.
func TestOccupiedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for range 2 {
		if h, err := hold(port); err == nil {
			h.Release()
			t.Fatal("an occupied port is given out")
		}
	}
	u, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatalf("the mark of a port that was not given is kept: %v", err)
	}
	_ = u.Close()
}
