package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// Config of one worker daemon.
type Config struct {
	ID           string   // unique in the cluster
	Coordinators []string // gRPC addresses
	Host         string   // address at which other workers' ranks reach this host
	Devices      int      // CPU slots offered; one rank each
	Threads      int      // kernel threads a rank; 0: cores / devices
	Dir          string   // logs of ranks
	Executable   string   // binary with the "rank" command; default: this one
	Version      string
	Log          zerolog.Logger
}

// maxDevices is what coordinators accept from one worker.
const maxDevices = 1024

// Validate fills defaults and refuses what cannot work.
func (c *Config) Validate() error {
	if c.ID == "" {
		return errors.New("worker: id is empty; give --id")
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Devices <= 0 {
		c.Devices = 1
	}
	if c.Devices > maxDevices {
		return fmt.Errorf("worker: %d devices; a worker offers at most %d", c.Devices, maxDevices)
	}
	if c.Threads <= 0 {
		c.Threads = max(1, runtime.NumCPU()/c.Devices)
	}
	if c.Executable == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("worker: find own executable: %w", err)
		}
		c.Executable = self
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, "ranks"), 0o755); err != nil {
		return fmt.Errorf("worker: make log folder: %w", err)
	}
	return nil
}

// Run serves until ctx ends; then every rank is dead.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	finder, err := leader.New(cfg.Coordinators)
	if err != nil {
		return err
	}
	defer finder.Close()
	info := &pb.WorkerInfo{Id: cfg.ID, IsaClasses: cpu.Classes(), Devices: uint32(cfg.Devices),
		Version: cfg.Version}
	c := newCore(cfg)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sessions := make(chan struct{})
	go func() {
		defer close(sessions)
		keepSession(ctx, finder, &pb.WorkerHello{Info: info, Host: cfg.Host}, c.inbox, cfg.Log)
	}()
	c.run(ctx)
	cancel()
	<-sessions
	return nil
}
