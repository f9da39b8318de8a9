package shm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// seals keep the memory as long as it is: who maps it must not be surprised.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// greeting is what the dialer sends with the memory and the second socket. It names the layout.
const greeting = "BANYANm1"

// name is the twin of a TCP address. It is abstract: of the network namespace, not of a folder.
func name(address string) string { return "@banyan/" + address }

// Listen opens the twin of a TCP listener's address, which must name a host.
func Listen(address net.Addr) (net.Listener, error) {
	if tcp, ok := address.(*net.TCPAddr); !ok || tcp.IP.IsUnspecified() {
		return nil, fmt.Errorf("listen beside %v: no address of one host", address)
	}
	return net.Listen("unix", name(address.String()))
}

// Dial connects to the twin of a TCP address, if its listener is on this host.
func Dial(ctx context.Context, address string) (*Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", name(address))
	if err != nil {
		return nil, err
	}
	c, err := offer(conn.(*net.UnixConn))
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("share memory: %w", err)
	}
	return c, nil
}

// offer makes the memory and sends it over.
func offer(conn *net.UnixConn) (*Conn, error) {
	if err := sameUser(conn); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("banyan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Ftruncate(fd, memoryLen); err != nil {
		return nil, fmt.Errorf("size: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("second socket: %w", err)
	}
	_, _, err = conn.WriteMsgUnix([]byte(greeting), unix.UnixRights(fd, pair[1]), nil)
	_ = unix.Close(pair[1])
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, fmt.Errorf("send: %w", err)
	}
	return open(conn, fd, pair[0], true)
}

// Accept takes the memory that the dialer of conn, which a listener of Listen has accepted, sends.
// It waits for it until conn's deadline. After an error conn is still the caller's.
func Accept(conn net.Conn) (*Conn, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("share memory: %T is no Unix socket", conn)
	}
	if err := sameUser(c); err != nil {
		return nil, fmt.Errorf("share memory: %w", err)
	}
	text, rights := make([]byte, len(greeting)), make([]byte, unix.CmsgSpace(8*4))
	n, m, _, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return nil, fmt.Errorf("share memory: receive: %w", err)
	}
	fds, err := descriptors(rights[:m])
	keep := err == nil && len(fds) == 2 && string(text[:n]) == greeting
	for i, fd := range fds {
		if i == 0 || !keep {
			defer func() { _ = unix.Close(fd) }()
		}
	}
	if !keep {
		return nil, fmt.Errorf("share memory: %q with %d descriptors is no greeting (%v)",
			text[:n], len(fds), err)
	}
	made, err := open(c, fds[0], fds[1], false)
	if err != nil {
		return nil, fmt.Errorf("share memory: %w", err)
	}
	return made, nil
}

// descriptors are those in a control message.
func descriptors(rights []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		more, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds, nil
}

// open maps the memory and makes the connection. second becomes the connection's, even after an
// error.
func open(conn *net.UnixConn, memory, second int, dialer bool) (*Conn, error) {
	file := os.NewFile(uintptr(second), "bell")
	other, err := net.FileConn(file) // a descriptor of its own
	_ = file.Close()
	if err != nil {
		return nil, fmt.Errorf("second socket: %w", err)
	}
	c, err := assemble(conn, memory, other, dialer)
	if err != nil {
		_ = other.Close()
	}
	return c, err
}

func assemble(conn *net.UnixConn, memory int, other net.Conn, dialer bool) (*Conn, error) {
	unixOther, ok := other.(*net.UnixConn)
	if !ok {
		return nil, errors.New("second socket: it is not one of this host")
	}
	data, err := newBell(conn)
	if err != nil {
		return nil, err
	}
	room, err := newBell(unixOther)
	if err != nil {
		return nil, err
	}
	got, err := unix.FcntlInt(uintptr(memory), unix.F_GET_SEALS, 0)
	if err != nil || got&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("it is not sealed (seals %#x, %v)", got, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(memory, &stat); err != nil || stat.Size != memoryLen {
		return nil, fmt.Errorf("it has %d bytes, not %d (%v)", stat.Size, memoryLen, err)
	}
	b, err := unix.Mmap(memory, 0, memoryLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return newConn(b, dialer, data, room, unix.Munmap), nil
}

// sameUser refuses processes of others, who can open any abstract name.
func sameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if fault := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); fault != nil {
		return fault
	}
	if err != nil {
		return fmt.Errorf("whose process: %w", err)
	}
	if me := os.Geteuid(); int(peer.Uid) != me {
		return fmt.Errorf("the process at the other end is of user %d, this one of %d",
			peer.Uid, me)
	}
	return nil
}
