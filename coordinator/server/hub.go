package server

import (
	"maps"
	"slices"
	"sync"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// hubBuffer is how many live items a watcher may lag behind before it has to take them from the
// bus.
const hubBuffer = 256

// hub shows a run's items to the watchers of this leader the moment they are accepted, so that a
// watch does not wait for an election of the bus. It may drop; the bus has everything.
type hub struct {
	mu   sync.Mutex
	tail []*pb.WatchItem
	subs map[chan *pb.WatchItem]bool
}

// tailItems is how many newest items a new watcher gets from the hub at once.
const tailItems = 128

func (h *hub) show(item *pb.WatchItem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tail = append(h.tail, item)
	if len(h.tail) >= 2*tailItems {
		h.tail = slices.Clone(h.tail[len(h.tail)-tailItems:])
	}
	for c := range maps.Keys(h.subs) {
		select {
		case c <- item:
		default:
		}
	}
}

// subscribe returns the newest items, a channel of those to come, and what ends it.
func (h *hub) subscribe() ([]*pb.WatchItem, <-chan *pb.WatchItem, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan *pb.WatchItem, hubBuffer)
	if h.subs == nil {
		h.subs = map[chan *pb.WatchItem]bool{}
	}
	h.subs[c] = true
	return slices.Clone(h.tail), c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, c)
	}
}
