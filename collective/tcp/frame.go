package tcp

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"

	"github.com/banyan-train/banyan/collective"
)

const (
	// headerLen is two cache lines, so that payloads lie in the stream as they lie in memory: the
	// kernel copies them at half the speed otherwise, on some processors.
	headerLen = 128
	crcAt     = headerLen - 4
	// blockLen is what one checksum covers, and what a receiver hands on at once: it stays in the
	// second level of the caches between the system call, the checksum and whoever uses it.
	blockLen = 4 * collective.PieceElements
	// maxBlocks make a frame. Fewer would wake the receiver more often than it likes.
	maxBlocks = 8
	maxChunk  = maxBlocks * blockLen
)

// Where the checksums of a header are, and how many bytes after them mean nothing yet.
const (
	sumsAt   = 40
	reserved = crcAt - sumsAt - 8*maxBlocks
)

// kind says what a frame belongs to.
type kind uint8

const (
	kindNone kind = iota
	kindAllGather
	kindAllToAll
	kindBytes
	kindBarrier
	kindLeave // the sender has finished with the group
	kindAbort // the sender's group died; the payload is the cause
	kindEnd   // first invalid kind
)

func (k kind) String() string {
	names := [...]string{"nothing", "AllGather", "AllToAll", "AllGatherBytes", "Barrier",
		"Leave", "Abort"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// header is the head of a frame:
//
//	kind u8 | zero u8 x3 | sender u32 | group u64 | seq u64 | total u64 | payload length u32 |
//	zero u32 | XXH3 u64 of each block of the payload, zero where there is none | zero |
//	CRC-32C of all before, u32
//
// Frames of one operation follow each other; their payloads, in order, are total bytes. All but the
// last are full, and so are all blocks but the last.
type header struct {
	kind   kind
	sender collective.Rank
	group  uint64    // groupTag of run and generation
	seq    uint64    // number of the operation, from 1
	total  uint64    // bytes of the operation from this sender to this receiver
	length uint32    // bytes of payload in this frame
	sums   blockSums // of the payload
}

// groupTag condenses run and generation, so that each frame names its group.
func groupTag(run string, generation uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(run))
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, generation))
	return h.Sum64()
}

func (h *header) encode(b *[headerLen]byte) {
	*b = [headerLen]byte{0: byte(h.kind)}
	le := binary.LittleEndian
	le.PutUint32(b[4:], uint32(h.sender))
	le.PutUint64(b[8:], h.group)
	le.PutUint64(b[16:], h.seq)
	le.PutUint64(b[24:], h.total)
	le.PutUint32(b[32:], h.length)
	for i, sum := range h.sums {
		le.PutUint64(b[sumsAt+8*i:], sum)
	}
	le.PutUint32(b[crcAt:], crc32.Checksum(b[:crcAt], castagnoli))
}

// decodeHeader checks everything that can be checked without knowing the operation.
func decodeHeader(b *[headerLen]byte) (header, error) {
	le := binary.LittleEndian
	got, want := crc32.Checksum(b[:crcAt], castagnoli), le.Uint32(b[crcAt:])
	if got != want {
		return header{}, fmt.Errorf("%w: header checksum %08x, the sender's is %08x",
			ErrCorrupt, got, want)
	}
	h := header{
		kind: kind(b[0]), sender: collective.Rank(le.Uint32(b[4:])), group: le.Uint64(b[8:]),
		seq: le.Uint64(b[16:]), total: le.Uint64(b[24:]), length: le.Uint32(b[32:]),
	}
	for i := range h.sums {
		h.sums[i] = le.Uint64(b[sumsAt+8*i:])
	}
	switch {
	case h.kind == kindNone || h.kind >= kindEnd:
		return header{}, fmt.Errorf("%w: kind %d", ErrCorrupt, h.kind)
	case b[1]|b[2]|b[3] != 0 || le.Uint32(b[36:]) != 0 ||
		[reserved]byte(b[sumsAt+8*maxBlocks:]) != [reserved]byte{}:
		return header{}, fmt.Errorf("%w: reserved bytes are set", ErrCorrupt)
	case h.length > maxChunk:
		return header{}, fmt.Errorf("%w: payload of %d bytes, at most %d",
			ErrCorrupt, h.length, maxChunk)
	case uint64(h.length) > h.total || (h.length == 0 && h.total != 0):
		return header{}, fmt.Errorf("%w: %d of %d bytes", ErrCorrupt, h.length, h.total)
	}
	return h, nil
}
