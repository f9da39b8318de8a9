package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	dbFile = "raft.db"
	// lockWait is how long to wait for another process to let go of the file: a predecessor that is
	// just ending. Without it bbolt waits for ever.
	lockWait = time.Second
)

// openStore opens dir/raft.db, making it when missing. It is checked whole first.
func openStore(dir string, fail *failStop, beforeWrite func(string) error) (*boltStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make Raft directory: %w", err)
	}
	path := filepath.Join(dir, dbFile)
	if err := checkFile(path); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, openError(path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketLog, bucketStable} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = syncDir(dir) // a new file survives a power cut only once its directory entry does
	}
	if err != nil {
		return nil, errors.Join(diskError(dir, "prepare Raft log", err), db.Close())
	}
	return &boltStore{db: db, fail: fail, beforeWrite: beforeWrite}, nil
}

// checkFile reads all of an existing file before it is opened for writing. bbolt panics on damaged
// pages; opening for writing does so in a goroutine of its own, where no recover can reach.
// Read-only, every page is visited from here, and panics and page faults (a cut-off file) become
// errors.
func checkFile(path string) (err error) {
	if info, statErr := os.Stat(path); errors.Is(statErr, os.ErrNotExist) ||
		statErr == nil && info.Size() == 0 {
		return nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damagedError(path, fmt.Errorf("%v", p))
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return openError(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.View(checkRecords); err != nil {
		return damagedError(path, err)
	}
	return nil
}

// checkRecords visits every page of both buckets and decodes every entry. Gaps between indexes are
// raft's business: entries received after an installed snapshot follow older ones.
func checkRecords(tx *bbolt.Tx) error {
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if string(name) != string(bucketLog) {
				return nil
			}
			if len(k) != 8 {
				return fmt.Errorf("key of %d bytes in the log: %w", len(k), errRecord)
			}
			var l raft.Log
			return decodeRecord(binary.BigEndian.Uint64(k), v, &l)
		})
	})
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("open Raft log %s: another process holds it (waited %v): stop the other "+
			"coordinator, or give this one a directory of its own: %w", path, lockWait, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return damagedError(path, err)
	default:
		return fmt.Errorf("open Raft log %s: %w", path, err)
	}
}

// ErrDamaged says that this member's files do not read back as they were written.
var ErrDamaged = errors.New("raft files are damaged")

func damagedError(path string, cause error) error {
	return fmt.Errorf("read Raft log %s: %w: %w: restore the directory from a backup, or replace "+
		"this coordinator by a new member (emptying the directory alone would let it vote twice)",
		path, ErrDamaged, cause)
}

// dropPartialSnapshots removes what a snapshot in progress left when the process died: raft never
// does, and on a full disk it is the space that is missing.
func dropPartialSnapshots(dir string) error {
	base := filepath.Join(dir, "snapshots")
	entries, err := os.ReadDir(base)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.RemoveAll(filepath.Join(base, e.Name())); err != nil {
				return fmt.Errorf("remove partial snapshot: %w", err)
			}
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
