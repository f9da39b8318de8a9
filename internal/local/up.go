package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Config of a local cluster.
type Config struct {
	Coordinators int // 1, 3 or 5
	Workers      int
	Dir          string // all state and logs
	Port         int    // first gRPC port; 0: any free ports
	Executable   string // default: this one
	Threads      int    // kernel threads a rank; 0: cores / workers
	Out          io.Writer
}

// ParentPipe is set in the environment of children: they end when their standard input does.
const ParentPipe = "BANYAN_PARENT_PIPE"

const (
	lockFile     = "up.lock"
	readyTimeout = 60 * time.Second
	readyTry     = time.Second
)

// child is one process of the cluster.
type child struct {
	name string
	cmd  *exec.Cmd
	pipe io.Closer
	done chan struct{}
	err  error
}

// Up starts the cluster, says when it is ready, and serves until ctx ends or nothing is left.
func Up(ctx context.Context, cfg Config) error {
	if err := cfg.prepare(); err != nil {
		return err
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	cluster, err := cfg.cluster()
	if err != nil {
		return err
	}
	file := filepath.Join(cfg.Dir, "cluster.json")
	var children []*child
	defer func() { endAll(children) }()
	start := func(name string, args ...string) error {
		c, err := cfg.spawn(name, args...)
		if err == nil {
			children = append(children, c)
		}
		return err
	}
	for _, m := range cluster.Members {
		err := start(m.ID, "coordinator", "--cluster", file, "--id", m.ID,
			"--dir", filepath.Join(cfg.Dir, m.ID))
		if err != nil {
			return err
		}
	}
	for i := range cfg.Workers {
		id := fmt.Sprintf("w%d", i+1)
		err := start(id, "worker", "--id", id, "--addr", strings.Join(cluster.Addresses(), ","),
			"--dir", filepath.Join(cfg.Dir, id), "--threads", strconv.Itoa(cfg.Threads))
		if err != nil {
			return err
		}
	}
	pids := map[string]int{}
	for _, c := range children {
		pids[c.name] = c.cmd.Process.Pid
	}
	if err := write(filepath.Join(cfg.Dir, pidsFile), pids); err != nil {
		return err
	}
	if err := awaitReady(ctx, cluster, cfg, children); err != nil {
		return err
	}
	fmt.Fprintf(cfg.Out, "banyan is up: coordinators %d, workers %d\n  export BANYAN_ADDR=%s\n",
		cfg.Coordinators, cfg.Workers, strings.Join(cluster.Addresses(), ","))
	return cfg.serve(ctx, children)
}

func (c *Config) prepare() error {
	switch c.Coordinators {
	case 1, 3, 5:
	default:
		return fmt.Errorf("up: %d coordinators; a group has 1, 3 or 5", c.Coordinators)
	}
	if c.Workers < 0 {
		return fmt.Errorf("up: %d workers", c.Workers)
	}
	if c.Threads <= 0 {
		c.Threads = max(1, runtime.NumCPU()/max(1, c.Workers))
	}
	if c.Executable == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("up: find own executable: %w", err)
		}
		c.Executable = self
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	c.Dir = dir
	return os.MkdirAll(filepath.Join(dir, "logs"), 0o755)
}

// lock keeps a folder for one Up: a second one would start members under the same names, against
// the first one's addresses. The lock ends with the process at the latest.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("up: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("up: another `banyan up` runs in %s; stop it, or give another --dir", dir)
	}
	return nil, fmt.Errorf("up: lock %s: %w", dir, err)
}

// cluster reuses the addresses of an earlier up in the same folder, because the Raft group's
// members are known by them.
func (c *Config) cluster() (*Cluster, error) {
	path := filepath.Join(c.Dir, "cluster.json")
	if old, err := Read(path); err == nil {
		if len(old.Members) != c.Coordinators {
			return nil, fmt.Errorf("up: %s holds a cluster of %d coordinators, not %d; use another --dir",
				c.Dir, len(old.Members), c.Coordinators)
		}
		return old, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	members, err := addresses(c.Coordinators, c.Port)
	if err != nil {
		return nil, err
	}
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, fmt.Errorf("up: make secret: %w", err)
	}
	cluster := &Cluster{Members: members, Secret: hex.EncodeToString(secret[:])}
	return cluster, write(path, cluster)
}

// spawn starts one child with a log file and a pipe whose end means that we are gone.
func (c *Config) spawn(name string, args ...string) (*child, error) {
	path := filepath.Join(c.Dir, "logs", name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.Executable, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), ParentPipe+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	ch := &child{name: name, cmd: cmd, pipe: pipe, done: make(chan struct{})}
	go func() {
		ch.err = cmd.Wait()
		close(ch.done)
	}()
	return ch, nil
}

// awaitReady waits for a leader that sees every worker.
func awaitReady(ctx context.Context, cluster *Cluster, cfg Config, children []*child) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout,
		fmt.Errorf("up: not ready after %v; see the logs in %s", readyTimeout,
			filepath.Join(cfg.Dir, "logs")))
	defer cancel()
	c, err := client.New(cluster.Addresses())
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		// A call looks for a leader until its context ends; a child that died must show before that.
		try, stop := context.WithTimeout(ctx, readyTry)
		workers, err := c.Workers(try)
		stop()
		if err == nil && live(workers) >= cfg.Workers {
			return nil
		}
		for _, ch := range children {
			select {
			case <-ch.done:
				return fmt.Errorf("up: %s ended: %v; see %s", ch.name, ch.err,
					filepath.Join(cfg.Dir, "logs", ch.name+".log"))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func live(workers []*pb.WorkerStatus) int {
	n := 0
	for _, w := range workers {
		if w.GetLive() {
			n++
		}
	}
	return n
}

// serve reports children that end, until ctx ends or none is left.
func (c *Config) serve(ctx context.Context, children []*child) error {
	ended := make(chan *child)
	for _, ch := range children {
		go func() {
			select {
			case <-ch.done:
				select {
				case ended <- ch:
				case <-ctx.Done():
				}
			case <-ctx.Done():
			}
		}()
	}
	for left := len(children); left > 0; left-- {
		select {
		case ch := <-ended:
			fmt.Fprintf(c.Out, "%s ended: %v (not restarted)\n", ch.name, ch.err)
		case <-ctx.Done():
			return nil
		}
	}
	return errors.New("up: every process has ended")
}

const graceful = 5 * time.Second

// endAll asks every child to end, then kills what is left. Workers first: they have ranks to kill.
func endAll(children []*child) {
	for i := len(children) - 1; i >= 0; i-- {
		_ = children[i].pipe.Close()
		_ = children[i].cmd.Process.Signal(syscall.SIGTERM)
	}
	var wait sync.WaitGroup
	for _, ch := range children {
		wait.Go(func() {
			select {
			case <-ch.done:
			case <-time.After(graceful):
				_ = ch.cmd.Process.Kill()
				<-ch.done
			}
		})
	}
	wait.Wait()
}
