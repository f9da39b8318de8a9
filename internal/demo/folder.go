package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const lockName = "lock"

// claim makes dir an empty folder of ours: no second demo may work in it until the returned
// function is called. The lock is the kernel's, so one that was killed holds nothing.
func claim(dir string) (func(), error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("make demo folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock demo folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock demo folder: another demo is running in %s", dir)
		}
		return nil, fmt.Errorf("lock demo folder %s: %w", dir, err)
	}
	if err := empty(dir); err != nil {
		lock.Close()
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// empty removes everything but the lock, and makes the folder for logs again.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("empty demo folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("empty demo folder: %w", err)
		}
	}
	return os.MkdirAll(filepath.Join(dir, "logs"), 0o755)
}
