package agent

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/banyan-train/banyan/internal/frame"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// process is one rank process.
type process struct {
	key    key
	device uint32
	cmd    *exec.Cmd
	conn   *os.File
	log    *os.File
	once   sync.Once

	mu      sync.Mutex
	pending *pb.RankAssignment // newest not yet written
	wake    chan struct{}
	gone    chan struct{} // closed when the process has ended
}

// spawn starts a rank. Its messages, and last its exit, go to inbox.
func spawn(cfg Config, a *pb.RankAssignment, inbox chan<- any) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("start rank: socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "rank"), os.NewFile(uintptr(fds[1]), "worker")
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	defer theirs.Close()
	k := keyOf(a)
	path := filepath.Join(cfg.Dir, "ranks", fmt.Sprintf("%s-g%d-r%d.log", k.run, k.generation, k.rank))
	logFile, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("start rank: open log: %w", err)
	}
	threads := cfg.Threads
	if n := a.GetResolved().GetSpec().GetResources().GetThreads(); n > 0 {
		threads = int(n)
	}
	tail := &tailWriter{}
	cmd := exec.Command(cfg.Executable, "rank", "--host", cfg.Host, "--threads", strconv.Itoa(threads))
	// The tail first; and a full disk costs the log, not the rank.
	cmd.Stdout, cmd.Stderr = logFile, io.MultiWriter(tail, &forgiving{w: logFile, log: cfg.Log})
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = dieWithParent()
	p := &process{key: k, device: a.GetDevice(), cmd: cmd, conn: ours, log: logFile,
		wake: make(chan struct{}, 1), gone: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		ours.Close()
		logFile.Close()
		return nil, fmt.Errorf("start rank: %w", err)
	}
	go p.read(inbox, tail)
	go p.write()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// assign hands the rank its newest assignment; an older one still waiting is replaced.
func (p *process) assign(a *pb.RankAssignment) {
	p.mu.Lock()
	p.pending = a
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *process) write() {
	for {
		select {
		case <-p.wake:
		case <-p.gone:
			return
		}
		p.mu.Lock()
		a := p.pending
		p.pending = nil
		p.mu.Unlock()
		if a == nil {
			continue
		}
		m := &pb.ToRank{Message: &pb.ToRank_Assignment{Assignment: a}}
		if frame.Write(p.conn, m) != nil {
			p.kill() // a rank that cannot be told is of no use; the reader sees its end
			return
		}
	}
}

// read passes the rank's messages on until its socket ends, then waits for the process.
func (p *process) read(inbox chan<- any, tail *tailWriter) {
	for {
		m := &pb.FromRank{}
		if err := frame.Read(p.conn, m); err != nil {
			break
		}
		inbox <- rankSaid{p, m}
	}
	p.kill() // a rank that closed its socket has ended or lost its way
	err := p.cmd.Wait()
	_ = p.log.Close()
	reason := "rank process ended without a word"
	if err != nil {
		reason = fmt.Sprintf("rank process: %v", err)
	}
	if last := tail.lastLine(); last != "" && !strings.HasPrefix(last, "{") { // not a log record
		reason += ": " + last
	}
	close(p.gone)
	inbox <- rankExited{p, reason}
}

// kill ends the process at once. Safe to call again, and from any goroutine.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.conn.Close()
	})
}

// forgiving passes writes on and reports success whatever happens: the first failure is told.
type forgiving struct {
	w    io.Writer
	log  zerolog.Logger
	once sync.Once
}

func (f *forgiving) Write(p []byte) (int, error) {
	if _, err := f.w.Write(p); err != nil {
		f.once.Do(func() { f.log.Error().Err(err).Msg("write log of rank; going on without") })
	}
	return len(p), nil
}

// tailWriter keeps the last bytes written to it.
type tailWriter struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 2048

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailBytes {
		t.buf = bytes.Clone(t.buf[len(t.buf)-tailBytes:])
	}
	return len(p), nil
}

func (t *tailWriter) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
