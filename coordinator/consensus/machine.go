package consensus

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Machine is the replicated state. Calls come one at a time from one goroutine, except that readers
// of the implementation's own may look on.
//
// Invariant (I6): what it becomes is a function of the calls alone.
type Machine interface {
	// Apply applies one committed command and returns its result, never nil. index rises with every
	// call, with gaps. cmd belongs to the Machine.
	Apply(index uint64, cmd *pb.Command) *pb.ApplyResult
	// Snapshot returns the whole state; the bytes belong to the caller.
	Snapshot() ([]byte, error)
	// Restore replaces the whole state by one that Snapshot returned, here or on another member.
	Restore(snapshot []byte) error
}

// fsm drives a Machine from raft's log.
type fsm struct{ machine Machine }

var _ raft.FSM = fsm{}

// Apply answers with a *pb.ApplyResult, or with an error for bytes that are no command: every
// member meets the same bytes, so every member passes over them alike.
func (f fsm) Apply(l *raft.Log) any {
	cmd := &pb.Command{}
	if err := proto.Unmarshal(l.Data, cmd); err != nil {
		return fmt.Errorf("decode command at index %d: %w", l.Index, err)
	}
	return f.machine.Apply(l.Index, cmd)
}

// Snapshot takes the bytes at once, so that they are the state between two commands.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	b, err := f.machine.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("snapshot state: %w", err)
	}
	return snapshotBytes(b), nil
}

// Restore reads a snapshot whose checksum the snapshot store has verified.
func (f fsm) Restore(r io.ReadCloser) error {
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if err := f.machine.Restore(b); err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	return nil
}

type snapshotBytes []byte

// Persist writes the bytes; raft cancels the sink on an error.
func (s snapshotBytes) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return sink.Close()
}

// Release has nothing to do: the bytes are garbage collected.
func (snapshotBytes) Release() {}
