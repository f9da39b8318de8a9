package consensus

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// failStop ends a member whose disk has refused something.
//
// raft has no answer to a failed write: it panics when it cannot record its term, carries on as a
// leader when it cannot append, and would vote twice in one term if a vote it failed to record were
// ever returned to it as recorded. So a failed write never returns into raft. The goroutine that
// met it reports the failure, which cuts this member's connections (its heartbeats would otherwise
// keep the others from electing a leader that can write), then waits for Close, and then ends with
// runtime.Goexit: deferred calls run, raft's accounts of its goroutines stay right, and no line of
// raft after the write is ever executed. Returning an error (a panic) and returning nil (a lie that
// can lose committed entries) were rejected.
type failStop struct {
	dir      string
	cut      func()        // closes the member's connections; called once, at the first failure
	failed   chan struct{} // closed at the first failure
	released chan struct{} // closed by Close

	once sync.Once
	err  error // set before failed is closed

	releaseOnce sync.Once
}

func newFailStop(dir string, cut func()) *failStop {
	return &failStop{
		dir: dir, cut: cut, failed: make(chan struct{}), released: make(chan struct{}),
	}
}

// stop records that op failed on this disk and does not return.
func (f *failStop) stop(op string, cause error) {
	f.once.Do(func() {
		f.err = diskError(f.dir, op, cause)
		f.cut()
		close(f.failed)
	})
	<-f.released
	runtime.Goexit()
}

// release lets the stopped goroutines end. The member must already be cut off.
func (f *failStop) release() { f.releaseOnce.Do(func() { close(f.released) }) }

// diskError says what failed, where, how much space is left there, and what to do.
func diskError(dir, op string, cause error) error {
	space := "free space unknown"
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		space = fmt.Sprintf("%d MiB free", st.Bavail*uint64(st.Bsize)>>20)
	}
	fix := "check the disk and the permissions of the directory"
	if errors.Is(cause, syscall.ENOSPC) || errors.Is(cause, syscall.EDQUOT) {
		fix = "free space on that file system, or move the directory to a larger one"
	}
	return fmt.Errorf("%s in %s (%s): %w: this coordinator stops; %s and start it again "+
		"(a majority of the coordinators holds everything committed)", op, dir, space, cause, fix)
}
