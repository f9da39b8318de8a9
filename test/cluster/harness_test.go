package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/internal/local"
	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	// runWithin bounds a whole run: some seconds on two cores, minutes when they are starved.
	runWithin = 5 * time.Minute
)

// cluster is a set of processes that belong together.
type cluster struct {
	t       *testing.T
	dir     string
	env     []string
	members *local.Cluster
	dirs    map[string]string // data folder by process name
	procs   map[string]*process
	client  *client.Client
}

// newCluster makes a cluster and starts its processes; with no coordinators, bring does it later.
func newCluster(t *testing.T, coordinators, workers int, env ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), env: env, members: &local.Cluster{Secret: "test"},
		dirs: map[string]string{}, procs: map[string]*process{}}
	t.Cleanup(c.end)
	if coordinators > 0 {
		c.bring(coordinators, workers)
	}
	return c
}

// bring starts coordinators and workers and waits until the leader sees all workers.
func (c *cluster) bring(coordinators, workers int) {
	c.t.Helper()
	c.addMembers(coordinators)
	c.startCoordinators()
	for i := range workers {
		c.start(fmt.Sprintf("w%d", i+1))
	}
	c.awaitWorkers(workers)
}

// addMembers chooses addresses and writes cluster.json.
func (c *cluster) addMembers(n int) {
	c.t.Helper()
	for i := range n {
		id := fmt.Sprintf("c%d", i+1)
		c.members.Members = append(c.members.Members, local.Member{ID: id, GRPC: testkit.FreeAddr(c.t),
			Raft: testkit.FreeAddr(c.t), NATS: testkit.FreeAddr(c.t)})
	}
	b, err := json.Marshal(c.members)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.path("cluster.json"), b, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if c.client, err = client.New(c.members.Addresses()); err != nil {
		c.t.Fatal(err)
	}
}

// in is the cluster as a subtest sees it.
func (c *cluster) in(t *testing.T) *cluster {
	sub := *c
	sub.t = t
	return &sub
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) addr() string { return strings.Join(c.members.Addresses(), ",") }

// start starts the coordinator or worker of this name, for the first time or again.
func (c *cluster) start(name string) *process {
	c.t.Helper()
	dir := c.dirs[name]
	if dir == "" {
		dir = c.path(name)
	}
	args := []string{"worker", "--id", name, "--addr", c.addr(), "--dir", dir, "--threads", "1"}
	if name[0] == 'c' {
		args = []string{"coordinator", "--cluster", c.path("cluster.json"), "--id", name, "--dir", dir}
	}
	p := spawn(c.t, name, c.path(name+".log"), c.env, args...)
	c.procs[name] = p
	return p
}

// end kills what is left, looks for panics in the logs, and shows those of a failed test.
func (c *cluster) end() {
	if c.client != nil {
		c.client.Close()
	}
	for _, p := range c.procs {
		p.kill()
	}
	logs, _ := filepath.Glob(c.path("*.log"))
	ranks, _ := filepath.Glob(c.path("w*/ranks/*.log"))
	for _, path := range append(logs, ranks...) {
		b, _ := os.ReadFile(path)
		for _, bad := range []string{"panic:", "fatal error:", "DATA RACE"} {
			if _, after, found := strings.Cut(string(b), bad); found {
				c.t.Errorf("%s holds %q:%.3000s", path, bad, after)
			}
		}
		if !c.t.Failed() {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		lines = lines[max(0, len(lines)-40):]
		c.t.Logf("---- %s\n%s", strings.TrimPrefix(path, c.dir), strings.Join(lines, "\n"))
	}
}

// awaitWorkers waits until the leader holds leases of n workers.
func (c *cluster) awaitWorkers(n int) {
	c.t.Helper()
	testkit.Eventually(c.t, fmt.Sprintf("%d live workers", n), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		workers, err := c.client.Workers(ctx)
		live := 0
		for _, w := range workers {
			if w.GetLive() {
				live++
			}
		}
		return err == nil && live >= n
	})
}

// leader is the name of the coordinator that leads.
func (c *cluster) leader() string {
	c.t.Helper()
	name := ""
	testkit.Eventually(c.t, "a leader", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s, err := c.client.Status(ctx)
		if err != nil {
			return false
		}
		for _, m := range c.members.Members {
			if m.GRPC == s.GetLeaderAddress() && c.running(m.ID) {
				name = m.ID
			}
		}
		return name != ""
	})
	return name
}

func (c *cluster) running(name string) bool {
	select {
	case <-c.procs[name].done:
		return false
	default:
		return true
	}
}

// run answers the state of a run.
func (c *cluster) run(id string) *pb.Run {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	run, err := c.client.Run(ctx, id)
	if err != nil {
		c.t.Fatalf("look up run %s: %v", id, err)
	}
	return run
}

// cli runs a command of the binary against this cluster.
func (c *cluster) cli(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	return cli(c.t, append(c.env, "BANYAN_ADDR="+c.addr()), args...)
}

// mustCLI is cli for commands that must succeed; it returns trimmed standard output.
func (c *cluster) mustCLI(args ...string) string {
	c.t.Helper()
	stdout, stderr, code := c.cli(args...)
	if code != 0 {
		c.t.Fatalf("banyan %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

func cli(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, shared.binary, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), env...)
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("banyan %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
