package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/banyan-train/banyan/store"
)

// ErrDamaged marks staged sequences that are not what was written.
var ErrDamaged = errors.New("staged sequences are damaged")

// keepBytes is how long a series may be to be kept in memory as it is read.
const keepBytes = 16 << 20

// maxIndex bounds the memory of an index: 100 bytes a part of 4 MiB.
const maxIndex = 64 << 20

// Series reads sequences. Safe for concurrent use.
type Series struct {
	Index
	bucket store.Bucket
	prefix string
	first  []uint64 // of each part: its first sequence; and their number

	keep  bool
	mu    sync.Mutex
	parts map[int][]byte // read whole, where keep says so
}

// Open reads the index of a series. It fails with store.ErrNotFound where there is none (yet).
func Open(ctx context.Context, bucket store.Bucket, prefix, id string) (*Series, error) {
	key := indexKey(prefix)
	info, err := bucket.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if info.Size > maxIndex {
		return nil, damaged(key, fmt.Sprintf("the index is %d bytes long", info.Size))
	}
	raw := make([]byte, info.Size)
	if err := bucket.ReadRange(ctx, key, 0, raw, ""); err != nil {
		return nil, err
	}
	s := &Series{bucket: bucket, prefix: prefix, parts: map[int][]byte{}}
	line, digest, _ := bytes.Cut(raw, []byte("\n"))
	if string(digest) != fmt.Sprintf("%x\n", sha256.Sum256(line)) ||
		json.Unmarshal(line, &s.Index) != nil || s.Version != version || s.ID != id {
		return nil, damaged(key, "the index does not verify")
	}
	total := uint64(0)
	s.first = make([]uint64, 1, len(s.Parts)+1)
	for i, p := range s.Parts {
		if p.Stride <= head+sha256.Size {
			return nil, damaged(key, fmt.Sprintf("part %d has records of %d bytes", i, p.Stride))
		}
		total += p.Records * uint64(p.Stride)
		s.first = append(s.first, s.first[i]+p.Records)
	}
	if s.first[len(s.Parts)] != s.Sequences {
		return nil, damaged(key, "its parts do not hold its sequences")
	}
	s.keep = total <= keepBytes
	return s, nil
}

// Read returns a sequence by its number. Invariant: number < Sequences.
func (s *Series) Read(ctx context.Context, number uint64) (Sequence, error) {
	i := sort.Search(len(s.Parts), func(i int) bool { return s.first[i+1] > number })
	record, err := s.record(ctx, i, number-s.first[i])
	if err != nil {
		return Sequence{}, fmt.Errorf("read staged sequences: %w", err)
	}
	body := record[:len(record)-sha256.Size]
	sum := seal(s.ID, number, body)
	if !bytes.Equal(record[len(body):], sum[:]) {
		return Sequence{}, damaged(partKey(s.prefix, i), fmt.Sprintf("sequence %d does not verify",
			number))
	}
	sequence, err := decode(body)
	if err != nil {
		return Sequence{}, damaged(partKey(s.prefix, i), fmt.Sprintf("sequence %d: %v", number, err))
	}
	return sequence, nil
}

// record reads one record of a part; all of a short series is read a part at a time, and once.
func (s *Series) record(ctx context.Context, part int, at uint64) ([]byte, error) {
	p, key := s.Parts[part], partKey(s.prefix, part)
	if !s.keep {
		record := make([]byte, p.Stride)
		return record, s.bucket.ReadRange(ctx, key, int64(at)*int64(p.Stride), record, "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := s.parts[part]
	if whole == nil {
		whole = make([]byte, p.Records*uint64(p.Stride))
		if err := s.bucket.ReadRange(ctx, key, 0, whole, ""); err != nil {
			return nil, err
		}
		s.parts[part] = whole
	}
	return whole[at*uint64(p.Stride):][:p.Stride], nil
}

func damaged(key, what string) error {
	return fmt.Errorf("%w: %s: %s: remove the folder it lies in and start the run again, which "+
		"makes it anew", ErrDamaged, key, what)
}
