package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// A log record is a fixed header and two byte strings, little-endian, under the big-endian index as
// its key (so that key order is log order). The index is covered by the checksum too: a record
// found under a wrong key is refused.
//
//	0      4       12     13          21           25
//	| crc  | term  | type | unix nano | len(ext)   | ext | data ...
//	  crc32c over index and everything behind the crc
const recordHeader = 25

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("log record is damaged")

func indexKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func encodeRecord(l *raft.Log) []byte {
	b := make([]byte, recordHeader, recordHeader+len(l.Extensions)+len(l.Data))
	binary.LittleEndian.PutUint64(b[4:], l.Term)
	b[12] = byte(l.Type)
	if !l.AppendedAt.IsZero() {
		binary.LittleEndian.PutUint64(b[13:], uint64(l.AppendedAt.UnixNano()))
	}
	binary.LittleEndian.PutUint32(b[21:], uint32(len(l.Extensions)))
	b = append(append(b, l.Extensions...), l.Data...)
	binary.LittleEndian.PutUint32(b, recordSum(l.Index, b))
	return b
}

// decodeRecord fills l with copies: b belongs to the database's memory map.
func decodeRecord(index uint64, b []byte, l *raft.Log) error {
	if len(b) < recordHeader {
		return fmt.Errorf("entry %d: %d bytes, want at least %d: %w",
			index, len(b), recordHeader, errRecord)
	}
	if got, want := recordSum(index, b), binary.LittleEndian.Uint32(b); got != want {
		return fmt.Errorf("entry %d: checksum %08x, recorded %08x: %w", index, got, want, errRecord)
	}
	ext := uint64(binary.LittleEndian.Uint32(b[21:]))
	if ext > uint64(len(b)-recordHeader) {
		return fmt.Errorf("entry %d: %d bytes of extensions in %d: %w",
			index, ext, len(b), errRecord)
	}
	*l = raft.Log{
		Index: index, Term: binary.LittleEndian.Uint64(b[4:]), Type: raft.LogType(b[12]),
		Data: append([]byte(nil), b[recordHeader+ext:]...),
	}
	if ext > 0 {
		l.Extensions = append([]byte(nil), b[recordHeader:recordHeader+ext]...)
	}
	if nano := int64(binary.LittleEndian.Uint64(b[13:])); nano != 0 {
		l.AppendedAt = time.Unix(0, nano)
	}
	return nil
}

func recordSum(index uint64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(indexKey(index), castagnoli), castagnoli, b[4:])
}
