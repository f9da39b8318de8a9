package consensus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

var (
	bucketLog    = []byte("log")
	bucketStable = []byte("stable")
)

// boltStore is raft's log and its few stable values (term, vote) in one bbolt file.
//
// Invariant (I5): a method that writes has fsynced when it returns; one that cannot write does not
// return (failStop). Written here and not taken from a library because the released raft stores do
// not build against raft v1.8.
type boltStore struct {
	db          *bbolt.DB
	fail        *failStop
	beforeWrite func(op string) error // nil outside of tests

	closeOnce sync.Once
	closeErr  error
}

var (
	_ raft.LogStore    = (*boltStore)(nil)
	_ raft.StableStore = (*boltStore)(nil)
)

// write runs fn in one transaction, which bbolt fsyncs. It returns only on success, or once the
// store is closed.
func (s *boltStore) write(op string, fn func(tx *bbolt.Tx) error) error {
	var err error
	if s.beforeWrite != nil {
		err = s.beforeWrite(op)
	}
	if err == nil {
		err = s.db.Update(fn)
	}
	if err != nil {
		s.fail.stop(op, err)
	}
	return nil
}

// FirstIndex returns the index of the oldest entry, 0 when there is none.
func (s *boltStore) FirstIndex() (uint64, error) {
	return s.edge(func(c *bbolt.Cursor) ([]byte, []byte) { return c.First() })
}

// LastIndex returns the index of the newest entry, 0 when there is none.
func (s *boltStore) LastIndex() (uint64, error) {
	return s.edge(func(c *bbolt.Cursor) ([]byte, []byte) { return c.Last() })
}

func (s *boltStore) edge(seek func(*bbolt.Cursor) ([]byte, []byte)) (uint64, error) {
	var index uint64
	err := s.db.View(func(tx *bbolt.Tx) error {
		if k, _ := seek(tx.Bucket(bucketLog).Cursor()); k != nil {
			index = binary.BigEndian.Uint64(k)
		}
		return nil
	})
	return index, err
}

// GetLog fills l with the entry at index; raft.ErrLogNotFound when there is none, which raft tests
// for. A damaged entry ends the member: raft would panic.
func (s *boltStore) GetLog(index uint64, l *raft.Log) error {
	var damaged error
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketLog).Get(indexKey(index))
		if b == nil {
			return raft.ErrLogNotFound
		}
		damaged = decodeRecord(index, b, l)
		return nil
	})
	if damaged != nil {
		s.fail.stop("read Raft log", damaged)
	}
	return err
}

// StoreLog appends one entry.
func (s *boltStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries in one transaction, hence one fsync for a batch.
func (s *boltStore) StoreLogs(logs []*raft.Log) error {
	return s.write("append to Raft log", func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketLog)
		b.FillPercent = 0.9 // keys only ever grow: the default half-empty pages would stay so
		for _, l := range logs {
			if err := b.Put(indexKey(l.Index), encodeRecord(l)); err != nil {
				return fmt.Errorf("put entry %d: %w", l.Index, err)
			}
		}
		return nil
	})
}

// DeleteRange removes entries lo to hi, both included. The file keeps its size; its pages are
// reused.
func (s *boltStore) DeleteRange(lo, hi uint64) error {
	return s.write("trim Raft log", func(tx *bbolt.Tx) error {
		last := indexKey(hi)
		c := tx.Bucket(bucketLog).Cursor()
		k, _ := c.Seek(indexKey(lo))
		for k != nil && bytes.Compare(k, last) <= 0 {
			if err := c.Delete(); err != nil {
				return fmt.Errorf("delete entry %d: %w", binary.BigEndian.Uint64(k), err)
			}
			k, _ = c.Seek(k) // Delete may leave the cursor before or on the next key
		}
		return nil
	})
}

// Set records a stable value.
func (s *boltStore) Set(key, val []byte) error {
	return s.write("record Raft vote", func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStable).Put(key, val)
	})
}

// Get returns a stable value, nil when it was never set: raft takes a missing value for an empty
// one.
func (s *boltStore) Get(key []byte) ([]byte, error) {
	var val []byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketStable).Get(key); b != nil {
			val = append([]byte{}, b...)
		}
		return nil
	})
	return val, err
}

// SetUint64 records a number. One that is already there costs no write.
func (s *boltStore) SetUint64(key []byte, val uint64) error {
	if have, err := s.GetUint64(key); err == nil && have == val && val != 0 {
		return nil
	}
	return s.write("record Raft term", func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStable).Put(key, binary.BigEndian.AppendUint64(nil, val))
	})
}

// GetUint64 returns a number, 0 when it was never set.
func (s *boltStore) GetUint64(key []byte) (uint64, error) {
	b, err := s.Get(key)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("stable value %q: %d bytes, want 8: %w", key, len(b), errRecord)
	}
	return binary.BigEndian.Uint64(b), nil
}

// Close closes the file. Later calls answer with the first result.
func (s *boltStore) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.db.Close() })
	return s.closeErr
}
