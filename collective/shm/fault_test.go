//go:build linux

package shm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dieAt is the address for a process of this test that writes and is killed.
const dieAt = "BANYAN_TEST_SHM_DIE_AT"

// lastWords is what it writes.
var lastWords = bytes.Repeat([]byte("banyan"), 20_000)

func writeAndDie(address string) {
	c, err := Dial(context.Background(), address)
	if err == nil {
		_, err = c.Write(lastWords)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// TestDeathOfTheOtherProcess: what it wrote can be read, and then its end is seen.
func TestDeathOfTheOtherProcess(t *testing.T) {
	l, address := twin(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dieAt+"="+address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := accept(l)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, lastWords) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(lastWords), err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the other process was not killed")
	}
	_, err = c.Write(make([]byte, 2*ringLen))
	if !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, unix.EPIPE) {
		t.Fatalf("write to the dead: %v", err)
	}
}

// TestLastWordsOutliveTheirSpeaker: one that fills the ring, waits for room and is closed then has
// said what is in the ring, all the same.
func TestLastWordsOutliveTheirSpeaker(t *testing.T) {
	a, b := pipe(t)
	wrote := make(chan int)
	go func() {
		n, _ := a.Write(make([]byte, 2*ringLen))
		wrote <- n
	}()
	for a.out.writer.Load() == 0 { // it does not sleep yet
		runtime.Gosched()
	}
	_ = a.Close()
	if n := <-wrote; n != ringLen {
		t.Fatalf("wrote %d bytes", n)
	}
	seen := 0
	for range 2 {
		if ok, err := b.View(1000, func(p []byte) { seen += len(p) }); !ok || err != nil {
			t.Fatalf("after %d bytes: %t, %v", seen, ok, err)
		}
	}
	if rest, err := io.ReadAll(b); err != nil || seen+len(rest) != ringLen {
		t.Fatalf("%d bytes seen and %d read, %v", seen, len(rest), err)
	}
}

// TestI13_StrangersShareNoMemory lets callers send what is no memory of ours. Each is told apart,
// and no descriptor stays.
func TestI13_StrangersShareNoMemory(t *testing.T) {
	memory := func(size int64, seal int) int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seal); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, short, loose := memory(memoryLen, seals), memory(4096, seals), memory(memoryLen, 0)
	for _, fd := range []int{pair[0], pair[1], whole, short, loose} {
		defer func() { _ = unix.Close(fd) }()
	}
	l, address := twin(t)
	for name, c := range map[string]struct {
		text string
		fds  []int
		want string
	}{
		"words":         {"GET / HT", nil, "no greeting"},
		"no memory":     {greeting, nil, "0 descriptors"},
		"one":           {greeting, []int{whole}, "1 descriptors"},
		"three":         {greeting, []int{whole, pair[1], short}, "3 descriptors"},
		"other layout":  {"BANYANm9", []int{whole, pair[1]}, "BANYANm9"},
		"short":         {greeting, []int{short, pair[1]}, "4096 bytes"},
		"can shrink":    {greeting, []int{loose, pair[1]}, "not sealed"},
		"no memory fd":  {greeting, []int{pair[0], pair[1]}, "not sealed"},
		"no second one": {greeting, []int{whole, short}, "second socket"},
	} {
		before := descriptorsOpen(t)
		raw, err := net.Dial("unix", "@banyan/"+address)
		if err != nil {
			t.Fatal(err)
		}
		var rights []byte
		if c.fds != nil {
			rights = unix.UnixRights(c.fds...)
		}
		if _, _, err := raw.(*net.UnixConn).WriteMsgUnix([]byte(c.text), rights, nil); err != nil {
			t.Fatal(err)
		}
		got, err := accept(l)
		if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		_ = raw.Close()
		if after := descriptorsOpen(t); after != before {
			t.Errorf("%s: %d descriptors, %d before", name, after, before)
		}
	}
}

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestProcessesOfOthersAreRefused: an abstract name is open to every user of the host.
func TestProcessesOfOthersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	l, address := twin(t)
	stranger := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // and never let go: the thread, which is another user's, ends with it
		defer close(stranger)
		const nobody = 65534
		if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		stranger <- fd
		_ = unix.Connect(fd, &unix.SockaddrUnix{Name: name(address)})
	}()
	fd, ok := <-stranger
	if !ok {
		t.Fatal("cannot be somebody else")
	}
	defer func() { _ = unix.Close(fd) }()
	if c, err := accept(l); err == nil || !strings.Contains(err.Error(), "of user 65534") {
		t.Fatalf("connection %v, error %v", c, err)
	}
}
