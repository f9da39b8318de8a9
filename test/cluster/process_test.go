package cluster

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/banyan-train/banyan/internal/local"
)

// process is one child: a coordinator or a worker.
type process struct {
	name string
	cmd  *exec.Cmd
	pipe io.Closer
	log  string
	done chan struct{} // closed when it has ended
}

var spawnRequests = make(chan func())

// spawner starts children from one thread that never ends: on Linux a child may ask to die with
// the thread, not the process, that made it.
func spawner() {
	runtime.LockOSThread()
	for f := range spawnRequests {
		f()
	}
}

// spawn starts the binary. Its output is appended to logPath.
func spawn(t *testing.T, name, logPath string, env []string, args ...string) *process {
	t.Helper()
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(shared.binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(append(os.Environ(), local.ParentPipe+"=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	spawnRequests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p := &process{name: name, cmd: cmd, pipe: pipe, log: logPath, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process with SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.pipe.Close()
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %s: %v", s, p.name, err)
	}
}

// ranks are the pids of a worker's rank processes.
func (p *process) ranks() []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, parent, state := parseStat(b)
		if parent != p.pid() || state == 'Z' {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("\x00rank\x00")) {
			out = append(out, pid)
		}
	}
	return out
}

// parseStat reads pid, parent and state of /proc/PID/stat.
func parseStat(b []byte) (pid, parent int, state byte) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < 0 {
		return 0, 0, 0
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(b[:open])))
	rest := strings.Fields(string(b[end+1:]))
	if len(rest) < 2 {
		return 0, 0, 0
	}
	parent, _ = strconv.Atoi(rest[1])
	return pid, parent, rest[0][0]
}

// alive reports whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, _, state := parseStat(b)
	return state != 'Z' && state != 'X' && state != 0
}
