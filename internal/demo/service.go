package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/banyan-train/banyan/internal/local"
)

const (
	serviceReady = 90 * time.Second // a machine of two cores, busy with something else
	serviceEnd   = 15 * time.Second // longer than `banyan up` grants its own children
	pollEvery    = 50 * time.Millisecond
)

// service is a process that runs until the demo ends. Its output goes to a log file, not to a
// pipe: it must not die of a broken one while it ends its own children.
type service struct {
	name string
	log  string
	cmd  *exec.Cmd
	pipe io.Closer // its standard input: it ends when this does
	done chan struct{}
	stop atomic.Bool // set when it may end
}

// start runs a service and waits until it has written a line that starts with ready. It returns
// what follows on that line.
func (d *demo) start(ctx context.Context, name, ready, program string, args ...string,
) (*service, string, error) {
	s := &service{name: name, log: d.path("logs", name+".log"), done: make(chan struct{})}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	s.cmd = exec.Command(program, args...)
	s.cmd.Env = d.env
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// Ctrl-C is ours alone: services end after those who use them.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.pipe, err = s.cmd.StdinPipe(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	d.services = append(d.services, s)
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
		if !s.stop.Load() {
			d.fail(s.ended())
		}
	}()
	rest, err := s.await(ctx, ready)
	return s, rest, err
}

func (s *service) await(ctx context.Context, ready string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, serviceReady,
		fmt.Errorf("start %s: not ready after %v; see %s", s.name, serviceReady, s.log))
	defer cancel()
	for {
		if rest, ok := lineAfter(s.log, ready); ok {
			return rest, nil
		}
		select {
		case <-s.done:
			return "", s.ended()
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
}

// ended says that the service is gone before its time. Call it when done is closed.
func (s *service) ended() error {
	return fmt.Errorf("%s ended: %v; see %s", s.name, s.cmd.ProcessState, s.log)
}

// lineAfter finds a complete line with a prefix in a file and returns the rest of it.
func lineAfter(path, prefix string) (string, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, prefix)
		if ok && strings.HasSuffix(line, "\n") {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// end asks the service to end and kills it if it does not.
func (s *service) end() {
	s.stop.Store(true)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.pipe.Close()
	select {
	case <-s.done:
	case <-time.After(serviceEnd):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// environment is this process's own without what would lead the demo's processes elsewhere.
func environment(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "BANYAN_ADDR=") {
			env = append(env, v)
		}
	}
	return append(append(env, local.ParentPipe+"=1"), more...)
}

// shown is how a program is named in the printed commands.
func shown(program string) string { return filepath.Base(program) }
