package telemetry

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// hints tells followers that something was published for their run, on any member. It holds one
// NATS subscription a run, however many follow it: a subscription brings the whole payload each
// time, of which only the fact is wanted.
type hints struct {
	nc *nats.Conn

	mu   sync.Mutex
	runs map[string]*hinted
}

type hinted struct {
	sub       *nats.Subscription
	followers map[chan struct{}]struct{}
}

// follow returns a channel that holds a hint whenever there was one since it was last read, and the
// function that ends it.
func (h *hints) follow(run string) (<-chan struct{}, func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.runs[run]
	if t == nil {
		t = &hinted{followers: map[chan struct{}]struct{}{}}
		sub, err := h.nc.Subscribe(subject(run), func(*nats.Msg) { h.tell(t) })
		if err != nil {
			return nil, nil, err
		}
		t.sub = sub
		h.runs[run] = t
	}
	ch := make(chan struct{}, 1)
	t.followers[ch] = struct{}{}
	return ch, func() { h.leave(run, t, ch) }, nil
}

func (h *hints) leave(run string, t *hinted, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(t.followers, ch)
	if len(t.followers) == 0 {
		delete(h.runs, run)
		_ = t.sub.Unsubscribe() // fails only on a closed connection
	}
}

func (h *hints) tell(t *hinted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range t.followers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
