package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/internal/local"
)

// cluster is what the demo knows of its processes: all from files in the cluster's folder.
type cluster struct {
	dir     string
	members []local.Member
	pids    map[string]int // by name: c1, w1, ...
}

// startCluster starts coordinators and workers (part 2).
func (d *demo) startCluster(ctx context.Context) error {
	dir := d.path("cluster")
	args := []string{"up", "--coordinators", strconv.Itoa(coordinators), "--workers",
		strconv.Itoa(workers), "--dir", dir, "--port", "0"}
	d.shell(args)
	_, said, err := d.start(ctx, "up", "banyan is up: ", d.cfg.Banyan, args...)
	if err != nil {
		return err
	}
	c := &cluster{dir: dir}
	d.cluster = c
	file, err := local.Read(filepath.Join(dir, "cluster.json"))
	if err != nil {
		return err
	}
	c.members = file.Members
	if c.pids, err = local.ReadPIDs(dir); err != nil {
		return err
	}
	if len(c.pids) != coordinators+workers {
		return fmt.Errorf("start cluster: %d processes, want %d", len(c.pids), coordinators+workers)
	}
	if d.client, err = client.New(file.Addresses()); err != nil {
		return err
	}
	d.env = append(d.env, "BANYAN_ADDR="+strings.Join(file.Addresses(), ","))
	d.say("up: %s", said)
	return nil
}

// member is the coordinator at a gRPC address.
func (c *cluster) member(address string) (local.Member, bool) {
	for _, m := range c.members {
		if m.GRPC == address {
			return m, true
		}
	}
	return local.Member{}, false
}

// rankPID finds the process of a rank in its worker's log.
func (c *cluster) rankPID(worker, run string, generation uint64, rank uint32) (int, error) {
	path := filepath.Join(c.dir, "logs", worker+".log")
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("find rank process: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var l struct {
			Message, Run string
			Generation   uint64
			Rank         uint32
			PID          int
		}
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Message == "rank started" && l.Run == run &&
			l.Generation == generation && l.Rank == rank && l.PID > 1 {
			return l.PID, nil
		}
	}
	return 0, fmt.Errorf("find rank process: %s does not tell of rank %d of generation %d of %s",
		path, rank, generation, run)
}

// gone is nil when every process of the cluster has ended.
func (c *cluster) gone() error {
	var errs []error
	for name, pid := range c.pids {
		if alive(pid) {
			errs = append(errs, fmt.Errorf("end cluster: %s (process %d) is still there", name, pid))
		}
	}
	return errors.Join(errs...)
}

// alive reports whether a process exists and is more than a zombie that nobody has waited for.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // Linux: "pid (name) state ..."
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// awaitDeath waits until a process has ended, but not after a deadline.
func awaitDeath(ctx context.Context, pid int, deadline time.Time) error {
	for alive(pid) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d still runs", pid)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
	return nil
}
