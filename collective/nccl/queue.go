package nccl

import "sync"

// queue hands the posted operations to the goroutine that issues them. It is unbounded: an item is
// small, and the caller bounds the operations in flight by their buffers.
type queue struct {
	mu    sync.Mutex
	items []*op
	more  chan struct{} // capacity 1: something was pushed since the last look
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

func (q *queue) push(o *op) {
	q.mu.Lock()
	q.items = append(q.items, o)
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// pop waits for an item; ok is false if stop closed first.
func (q *queue) pop(stop <-chan struct{}) (o *op, ok bool) {
	for {
		if o, ok = q.maybePop(); ok {
			return o, true
		}
		select {
		case <-q.more:
		case <-stop:
			return nil, false
		}
	}
}

func (q *queue) maybePop() (*op, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil, false
	}
	o := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	return o, true
}
