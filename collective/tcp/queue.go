package tcp

import "sync"

// queue hands the items of posted operations to one goroutine. It is unbounded: an item is a few
// words, and the caller bounds the operations in flight by their buffers.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{} // capacity 1: something was pushed since the last look
}

func newQueue[T any]() *queue[T] { return &queue[T]{more: make(chan struct{}, 1)} }

func (q *queue[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// pop waits for an item; ok is false if one of the two channels closed while there was none.
func (q *queue[T]) pop(stop1, stop2 <-chan struct{}) (v T, ok bool) {
	for {
		if v, ok = q.maybePop(); ok {
			return v, true
		}
		select {
		case <-q.more:
		case <-stop1:
			return v, false
		case <-stop2:
			return q.maybePop() // pushed just before the stop
		}
	}
}

func (q *queue[T]) maybePop() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return v, false
	}
	v = q.items[0]
	var zero T
	q.items[0] = zero
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	return v, true
}
