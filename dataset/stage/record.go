package stage

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"

	"github.com/banyan-train/banyan/dataset/pack"
)

// Sequence is what is kept of a packed sequence; the rest follows from it (pack.Restore).
type Sequence struct {
	Tokens []int32 // without padding
	Spans  []pack.Span
}

// head is the length of the number in front of a payload.
const head = 4

// encode is the payload of a record behind its length.
func encode(s Sequence) []byte {
	b := make([]byte, head, head+4*len(s.Tokens)+16*len(s.Spans)+16)
	b = binary.AppendUvarint(b, uint64(len(s.Tokens)))
	for _, id := range s.Tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Spans)))
	for _, span := range s.Spans {
		for _, v := range [...]uint64{span.Block, uint64(span.File), uint64(span.Start),
			uint64(span.Token), uint64(span.Count)} {
			b = binary.AppendUvarint(b, v)
		}
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-head))
	return b
}

// seal is the digest of a record: of the series, its number in it, and all before the digest.
func seal(id string, number uint64, record []byte) [sha256.Size]byte {
	h := sha256.New()
	var n [16]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(id)))
	binary.LittleEndian.PutUint64(n[8:], number)
	h.Write(n[:])
	h.Write([]byte(id))
	h.Write(record)
	return [sha256.Size]byte(h.Sum(nil))
}

var errRecord = errors.New("the record is not one")

// decode reads a record without its digest.
func decode(b []byte) (s Sequence, err error) {
	if len(b) < head || uint64(len(b)-head) < uint64(binary.LittleEndian.Uint32(b)) {
		return s, errRecord
	}
	b = b[head:][:binary.LittleEndian.Uint32(b)]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt64 {
			err = errRecord
			return 0
		}
		b = b[n:]
		return v
	}
	tokens := number()
	if err != nil || tokens > uint64(len(b))/4 {
		return s, errRecord
	}
	s.Tokens = make([]int32, tokens)
	for i := range s.Tokens {
		s.Tokens[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	b = b[4*tokens:]
	spans := number()
	if err != nil || spans > uint64(len(b))/5 {
		return s, errRecord
	}
	s.Spans = make([]pack.Span, spans)
	covered := uint64(0)
	for i := range s.Spans {
		x := pack.Span{Block: number(), File: int(number()), Start: int64(number()),
			Token: int(number()), Count: int(number())}
		if s.Spans[i], covered = x, covered+uint64(x.Count); err != nil || covered > tokens {
			return s, errRecord
		}
	}
	if covered != tokens || len(b) > 0 {
		return s, errRecord
	}
	return s, nil
}
