package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/banyan-train/banyan/internal/ports"
)

const pidsFile = "pids.json"

// Member is one coordinator's addresses, as in cluster.json.
type Member struct {
	ID   string `json:"id"`
	GRPC string `json:"grpc"`
	Raft string `json:"raft"`
	NATS string `json:"nats"`
}

// Cluster is cluster.json: what every coordinator must be told alike.
type Cluster struct {
	Members []Member `json:"members"`
	Secret  string   `json:"secret"` // shared by the coordinators for telemetry
}

// Read loads and checks cluster.json.
func Read(path string) (*Cluster, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read cluster file: %w", err)
	}
	c := &Cluster{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("read cluster file %s: %w", path, err)
	}
	switch len(c.Members) {
	case 1, 3, 5:
	default:
		return nil, fmt.Errorf("read cluster file %s: %d members; a group has 1, 3 or 5", path,
			len(c.Members))
	}
	return c, nil
}

// ReadPIDs loads pids.json of a cluster's folder: the process id of every coordinator and worker
// by name, as Up started them. Up restarts nothing, so an id that has ended stays in it.
func ReadPIDs(dir string) (map[string]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, pidsFile))
	if err != nil {
		return nil, fmt.Errorf("read process ids: %w", err)
	}
	pids := map[string]int{}
	if err := json.Unmarshal(b, &pids); err != nil {
		return nil, fmt.Errorf("read process ids: %s: %w", filepath.Join(dir, pidsFile), err)
	}
	return pids, nil
}

// Addresses are the members' gRPC addresses.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, m := range c.Members {
		out = append(out, m.GRPC)
	}
	return out
}

// write stores v as JSON, readable by the owner only: cluster.json holds a secret.
func write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}

// portStride keeps a member's three ports apart.
const portStride = 100

// addresses chooses ports on loopback: base+i, base+100+i and base+200+i, or free ones for base 0,
// that no outgoing connection takes before the next up in the same folder. An occupied port is an
// error that names it.
func addresses(n, base int) ([]Member, error) {
	var members []Member
	var release []func()
	defer func() {
		for _, f := range release {
			f()
		}
	}()
	take := func(port int) (string, error) {
		if port == 0 {
			p, err := ports.Hold()
			if err != nil {
				return "", err
			}
			release = append(release, p.Release)
			return p.Addr(), nil
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return "", err
		}
		release = append(release, func() { _ = l.Close() })
		return l.Addr().String(), nil
	}
	for i := range n {
		m := Member{ID: fmt.Sprintf("c%d", i+1)}
		var errs [3]error
		for k, addr := range []*string{&m.GRPC, &m.Raft, &m.NATS} {
			port := 0
			if base > 0 {
				port = base + k*portStride + i
			}
			*addr, errs[k] = take(port)
		}
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("choose ports: %w; stop what listens there or give another --port", err)
		}
		members = append(members, m)
	}
	return members, nil
}
