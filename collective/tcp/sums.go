package tcp

import (
	"sync"

	"github.com/zeebo/xxh3"
)

// blockSums are the checksums of a frame's blocks, zero where there is none.
type blockSums [maxBlocks]uint64

// sumsOf is the checksums of a frame's payload.
func sumsOf(payload []byte) (s blockSums) {
	for i := 0; len(payload) > 0; i++ {
		n := min(len(payload), blockLen)
		s[i] = xxh3.Hash(payload[:n])
		payload = payload[n:]
	}
	return s
}

// sums are those of all frames of a message that goes to several peers: whoever comes to a frame
// first computes them.
type sums struct {
	mu     sync.Mutex
	frames []blockSums
}

// of answers those of a frame. A peer asks for one frame after the other.
func (s *sums) of(frame int, payload []byte) blockSums {
	s.mu.Lock()
	defer s.mu.Unlock()
	if frame == len(s.frames) {
		s.frames = append(s.frames, sumsOf(payload))
	}
	return s.frames[frame]
}
