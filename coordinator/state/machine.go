package state

import (
	"fmt"
	"sync"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// Machine guards one ClusterState: a thin lock around the pure functions of this package.
// All methods are safe for concurrent use; what they return is the caller's own copy.
type Machine struct {
	mu sync.RWMutex
	st *pb.ClusterState
}

// New returns a machine in the empty state.
func New() *Machine {
	return &Machine{st: &pb.ClusterState{}}
}

// Apply changes the state by one committed command. The result is never nil. A refused command
// moves nothing but applied_index. The machine keeps no reference to cmd.
func (m *Machine) Apply(index uint64, cmd *pb.Command) *pb.ApplyResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	return apply(m.st, index, cmd)
}

// Snapshot returns the state as bytes; equal states give equal bytes (I6).
func (m *Machine) Snapshot() ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.st)
	if err != nil {
		return nil, fmt.Errorf("encode cluster state: %w", err)
	}
	return b, nil
}

// Restore replaces the state by a snapshot. Bytes that are no valid state are refused and leave
// the machine as it was.
func (m *Machine) Restore(b []byte) error {
	st := &pb.ClusterState{}
	if err := proto.Unmarshal(b, st); err != nil {
		return fmt.Errorf("decode cluster state (%d bytes): %w", len(b), err)
	}
	if err := Check(st); err != nil {
		return fmt.Errorf("restore cluster state: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.st = st
	return nil
}

// Run returns a copy of one run.
func (m *Machine) Run(id string) (*pb.Run, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := maybeRun(m.st, id)
	if r == nil {
		return nil, false
	}
	return proto.CloneOf(r), true
}

// Runs returns copies of all runs, in launch order.
func (m *Machine) Runs() []*pb.Run {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*pb.Run, len(m.st.Runs))
	for i, r := range m.st.Runs {
		out[i] = proto.CloneOf(r)
	}
	return out
}

// Workers returns copies of all registered workers, by id.
func (m *Machine) Workers() []*pb.WorkerInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*pb.WorkerInfo, len(m.st.Workers))
	for i, w := range m.st.Workers {
		out[i] = proto.CloneOf(w)
	}
	return out
}

// State returns a copy of everything.
func (m *Machine) State() *pb.ClusterState {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return proto.CloneOf(m.st)
}

// Request returns the run that a request id was first applied to, so that a retried launch need
// not be resolved again.
func (m *Machine) Request(id string) (run string, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if rec := maybeRequest(m.st, id); rec != nil {
		return rec.Run, true
	}
	return "", false
}

// AppliedIndex returns the Raft index of the newest command applied.
func (m *Machine) AppliedIndex() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.st.AppliedIndex
}
