package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/banyan-train/banyan/dataset/pack"
)

// ChainDigest is the ledger's digest after a step: hex sha256 over the digest before it ("" for
// the first step) and the digests of the step's sequences, by slot 0..B-1.
func ChainDigest(prev string, slots [][32]byte) string {
	h := sha256.New()
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(len(prev)))
	binary.LittleEndian.PutUint64(head[8:], uint64(len(slots)))
	h.Write(head[:])
	h.Write([]byte(prev))
	for i := range slots {
		h.Write(slots[i][:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sequenceDigest is sha256 over little-endian numbers: slot, source, number of spans; block number,
// file, record, token and count of each span (64 bits each); then the token ids (32 bits each).
func sequenceDigest(slot Slot, source int, spans []pack.Span, tokens []int32) [32]byte {
	b := make([]byte, 0, 24+40*len(spans)+4*len(tokens))
	number := binary.LittleEndian.AppendUint64
	b = number(b, uint64(slot))
	b = number(b, uint64(source))
	b = number(b, uint64(len(spans)))
	for _, s := range spans {
		b = number(b, s.Block)
		b = number(b, uint64(s.File))
		b = number(b, uint64(s.Start))
		b = number(b, uint64(s.Token))
		b = number(b, uint64(s.Count))
	}
	for _, id := range tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return sha256.Sum256(b)
}
