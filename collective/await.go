package collective

import (
	"context"
	"fmt"
)

// Await is what a backend's Handle waits by. It returns true once the operation is done; false
// after an abort, when released has said that nobody touches its buffers any more. If ctx ends
// first, it aborts: there is no other way to get the buffers back.
func Await(ctx context.Context, op fmt.Stringer, done, aborted <-chan struct{}, abort func(error),
	released func(),
) bool {
	select {
	case <-done:
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-aborted:
	case <-ctx.Done():
		abort(fmt.Errorf("wait for %v: %w", op, ctx.Err()))
	}
	released()
	select {
	case <-done: // it was finished before the abort reached it
		return true
	default:
		return false
	}
}
