package dataset

import (
	"sync/atomic"

	"github.com/banyan-train/banyan/dataset/source"
)

// heldBytes is about what the lanes of a stream may hold together between two sequences. There is
// one for every slot and source, so thousands where there is one rank: each has a window of text,
// the tokens of a document it is in the middle of, and what decompresses, which alone may be
// megabytes.
const heldBytes = 32 << 20

// hold keeps the lanes of a stream within a number of bytes. It closes what costs least to open
// again: first what decompresses, then the lane, which goes on at its position as after a resume.
// None of it matters to what is read.
//
// Lanes take turns, so the one just used is the one that is not needed for longest: it is the one
// to close, and others may keep what they hold until their turn.
type hold struct {
	most   int64
	window int64 // bytes of text that each lane's reader holds
	total  atomic.Int64
}

func newHold(lanes int) *hold {
	share := heldBytes / int64(max(1, lanes))
	return &hold{most: heldBytes, window: min(max(share, source.MinWindow), source.MaxWindow)}
}

// settle counts what a lane holds after a sequence, and makes it let go of some if together they
// hold too much. One of a staged source holds nothing.
func (h *hold) settle(used lane) error {
	l, ok := used.(*readLane)
	if !ok {
		return nil
	}
	if h.count(l); h.total.Load() <= h.most {
		return nil
	}
	if l.held > h.window {
		l.reader.Rest()
		h.count(l)
	}
	if l.held <= 2*h.window || h.total.Load() <= h.most {
		return nil
	}
	err := l.reopen()
	h.count(l)
	return err
}

func (h *hold) count(l *readLane) {
	const tokenBytes = 4
	held := l.reader.Held() + tokenBytes*int64(cap(l.buffer))
	h.total.Add(held - l.held)
	l.held = held
}
