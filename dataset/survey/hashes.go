package survey

import (
	"encoding/binary"

	"crypto/sha256"
)

// maxHashes is how many different documents are told apart exactly; about 200 MB of memory.
const maxHashes = 4 << 20

// hashes counts how often each text was seen: all of them while they are few, then those whose hash
// ends in enough zero bits (adaptive sampling: Wegman; Flajolet, "On adaptive sampling", 1990).
type hashes struct {
	seen  map[[16]byte]uint32
	mask  uint64 // a hash is kept if these bits are zero
	limit int
}

func newHashes() *hashes { return &hashes{seen: map[[16]byte]uint32{}, limit: maxHashes} }

func (h *hashes) add(text string) {
	sum := sha256.Sum256([]byte(text))
	h.put([16]byte(sum[:16]), 1)
}

func (h *hashes) put(key [16]byte, times uint32) {
	if binary.LittleEndian.Uint64(key[:])&h.mask != 0 {
		return
	}
	h.seen[key] += times
	for len(h.seen) > h.limit {
		h.thin(h.mask<<1 | 1)
	}
}

// thin keeps the hashes that have the bits of mask clear.
func (h *hashes) thin(mask uint64) {
	h.mask |= mask
	for key := range h.seen {
		if binary.LittleEndian.Uint64(key[:])&h.mask != 0 {
			delete(h.seen, key)
		}
	}
}

func (h *hashes) merge(other *hashes) {
	if other.mask > h.mask {
		h.thin(other.mask)
	}
	for key, times := range other.seen {
		h.put(key, times)
	}
}

// duplicates is how many texts were there before; estimated if only a sample was kept.
func (h *hashes) duplicates() (n uint64, sampled bool) {
	for _, times := range h.seen {
		n += uint64(times - 1)
	}
	return n * (h.mask + 1), h.mask != 0
}
