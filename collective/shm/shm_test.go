//go:build linux

package shm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(dieAt); address != "" {
		writeAndDie(address)
	}
	goleak.VerifyTestMain(m)
}

// patience is for what should not happen.
const patience = time.Minute

// twin is a listener beside a TCP listener's address.
func twin(t testing.TB) (net.Listener, string) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	l, err := Listen(tcp.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, tcp.Addr().String()
}

func accept(l net.Listener) (*Conn, error) {
	raw, err := l.Accept()
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	c, err := Accept(raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, c.SetDeadline(time.Time{})
}

// pipe is a connection through memory, the dialer's end first.
func pipe(t testing.TB) (dialer, acceptor *Conn) {
	t.Helper()
	l, address := twin(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var both errgroup.Group
	both.Go(func() (err error) { acceptor, err = accept(l); return err })
	both.Go(func() (err error) { dialer, err = Dial(ctx, address); return err })
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialer.Close(), acceptor.Close() })
	for _, c := range []*Conn{dialer, acceptor} {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	return dialer, acceptor
}

// TestConn is the suite of Go's network library for anything that says it is a net.Conn.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pipe(t)
		_, _ = a.SetDeadline(time.Time{}), b.SetDeadline(time.Time{})
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

// TestStreamsArriveAsSent sends several rings' worth both ways at once, in pieces of any size.
func TestStreamsArriveAsSent(t *testing.T) {
	a, b := pipe(t)
	var all errgroup.Group
	for i, c := range []*Conn{a, b} {
		sent := make([]byte, 5*ringLen+12345)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(sent)
		all.Go(func() error {
			sizes := rand.New(rand.NewPCG(7, uint64(i)))
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+sizes.IntN(300_000))
				if _, err := c.WriteBuffers(net.Buffers{rest[:n/2], rest[n/2 : n]}); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return c.CloseWrite()
		})
		other := b
		if c == b {
			other = a
		}
		all.Go(func() error {
			got := sha256.New()
			sizes := rand.New(rand.NewPCG(8, uint64(i)))
			for {
				n := 1 + sizes.IntN(200_000)
				if sizes.IntN(2) == 0 { // as it lies, where it does not wrap
					ok, err := other.View(n, func(part []byte) { _, _ = got.Write(part) })
					if ok && err == nil {
						continue
					}
					if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
						return err
					}
				}
				part := make([]byte, n)
				n, err := other.Read(part)
				_, _ = got.Write(part[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
			}
			if want := sha256.Sum256(sent); !bytes.Equal(got.Sum(nil), want[:]) {
				return errors.New("other bytes arrived than were sent")
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestViewIsOfWhatComesNext(t *testing.T) {
	a, b := pipe(t)
	if _, err := a.Write([]byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	var seen string
	view := func(n int) (bool, error) { return b.View(n, func(p []byte) { seen = string(p) }) }
	if ok, err := view(4); !ok || err != nil || seen != "abcd" {
		t.Fatalf("view %t %q, %v", ok, seen, err)
	}
	if ok, err := view(ringLen); ok || err != nil {
		t.Fatalf("what wraps: %t, %v", ok, err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if ok, err := view(3); ok || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("more than there ever will be: %t, %v", ok, err)
	}
	if rest, err := io.ReadAll(b); err != nil || string(rest) != "ef" {
		t.Fatalf("the rest is %q, %v", rest, err)
	}
}

// TestCloseWaitsForTheView: the memory is there as long as somebody reads it.
func TestCloseWaitsForTheView(t *testing.T) {
	a, b := pipe(t)
	if _, err := a.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	_, _ = b.View(4096, func(p []byte) { // its room cannot be told to anybody any more
		go func() { closed <- b.Close() }()
		for b.usable(&b.readBy) == nil {
			runtime.Gosched()
		}
		select {
		case err := <-closed:
			t.Errorf("closed under the view: %v", err)
		default:
		}
		for i := range p {
			p[i]++
		}
	})
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

// TestViewMakesRoom for a writer that sleeps.
func TestViewMakesRoom(t *testing.T) {
	a, b := pipe(t)
	wrote := make(chan error)
	go func() {
		_, err := a.Write(make([]byte, 2*ringLen))
		wrote <- err
	}()
	for a.out.writer.Load() == 0 {
		runtime.Gosched()
	}
	for range 2 * ringLen / 4096 {
		if ok, err := b.View(4096, func([]byte) {}); !ok || err != nil {
			t.Fatalf("view %t, %v", ok, err)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// TestCloseWriteWakesAReader that sleeps already, and leaves the other direction alone.
func TestCloseWriteWakesAReader(t *testing.T) {
	a, b := pipe(t)
	read := make(chan error)
	go func() {
		_, err := b.Read(make([]byte, 1))
		read <- err
	}()
	for b.in.reader.Load() == 0 {
		runtime.Gosched()
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, io.EOF) {
		t.Fatalf("read %v", err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestBellsNeverBlock: not who sleeps when there is something to do after all, nor who rings for
// one that does not come to read it.
func TestBellsNeverBlock(t *testing.T) {
	a, b := pipe(t)
	if err := b.data.sleep(&b.in.reader, 1, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	if want := b.in.reader.Load(); want != 0 {
		t.Fatalf("awake, and waits for %d bytes", want)
	}
	for range 100_000 { // more than a socket holds
		a.out.reader.Store(1)
		if err := a.data.ringFor(&a.out.reader, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingIsLeftAfterClose: every call answers that the connection is closed, empty ones too.
func TestNothingIsLeftAfterClose(t *testing.T) {
	a, _ := pipe(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"read":        func() error { _, err := a.Read(make([]byte, 1)); return err },
		"empty read":  func() error { _, err := a.Read(nil); return err },
		"view":        func() error { _, err := a.View(1, func([]byte) {}); return err },
		"write":       func() error { _, err := a.Write(make([]byte, 1)); return err },
		"empty write": func() error { _, err := a.Write(nil); return err },
		"close write": a.CloseWrite,
	} {
		if err := do(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestDeadlineEndsABusyReader: who always finds bytes never sleeps, and is cut all the same.
func TestDeadlineEndsABusyReader(t *testing.T) {
	a, b := pipe(t)
	if _, err := a.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	_ = b.SetReadDeadline(time.Unix(1, 0))
	_, err := b.View(10, func([]byte) { t.Error("seen after the deadline") })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("view after the deadline: %v", err)
	}
	if _, err := b.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read after the deadline: %v", err)
	}
}

// TestI13_CorruptPositionsAreRefused: whatever the other process leaves in the memory, this one
// stays within it.
func TestI13_CorruptPositionsAreRefused(t *testing.T) {
	for name, do := range map[string]func(*Conn) error{
		"read":  func(c *Conn) error { _, err := c.Read(make([]byte, 8)); return err },
		"view":  func(c *Conn) error { _, err := c.View(8, func([]byte) {}); return err },
		"write": func(c *Conn) error { _, err := c.Write(make([]byte, 8)); return err },
	} {
		a, b := pipe(t)
		a.out.head.Store(3*ringLen + 1) // what b reads
		a.in.tail.Store(ringLen + 7)    // what b writes
		if err := do(b); !errors.Is(err, errPositions) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOnlyAnAddressOfOneHostHasATwin(t *testing.T) {
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 4242}
	if l, err := Listen(everywhere); err == nil || !strings.Contains(err.Error(), "one host") {
		t.Fatalf("listener %v, error %v", l, err)
	}
	if c, err := Dial(context.Background(), "127.0.0.1:1"); err == nil {
		t.Fatalf("dialed %v", c)
	}
}
