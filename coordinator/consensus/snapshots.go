package consensus

import (
	"github.com/hashicorp/raft"
)

// snapshotStore is raft's file store with the member's attitude to a disk that refuses: raft itself
// would log the error and try again for ever while the log grows.
type snapshotStore struct {
	raft.SnapshotStore
	fail        *failStop
	beforeWrite func(op string) error
}

const opSnapshot = "write Raft snapshot"

// Create starts a snapshot.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64,
	conf raft.Configuration, confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	s.refuse()
	sink, err := s.SnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		s.fail.stop(opSnapshot, err)
	}
	return &snapshotSink{SnapshotSink: sink, store: s}, nil
}

func (s *snapshotStore) refuse() {
	if s.beforeWrite == nil {
		return
	}
	if err := s.beforeWrite(opSnapshot); err != nil {
		s.fail.stop(opSnapshot, err)
	}
}

type snapshotSink struct {
	raft.SnapshotSink
	store *snapshotStore
}

// Write adds to the snapshot.
func (s *snapshotSink) Write(b []byte) (int, error) {
	s.store.refuse()
	n, err := s.SnapshotSink.Write(b)
	if err != nil {
		s.store.fail.stop(opSnapshot, err)
	}
	return n, nil
}

// Close makes the snapshot durable. Cancel, after a broken transfer, may fail without consequence.
func (s *snapshotSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		s.store.fail.stop(opSnapshot, err)
	}
	return nil
}
