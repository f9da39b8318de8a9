package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/store"
)

// partBytes is how long a part may grow before it is written.
const partBytes = 4 << 20

// version is that of the format.
const version = 1

// Index is the table of contents of a series.
type Index struct {
	Version   int    `json:"version"`
	ID        string `json:"id"`
	Sequences uint64 `json:"sequences"`
	Documents uint64 `json:"documents"` // of one pass
	Tokens    uint64 `json:"tokens"`    // of one pass, BOS and EOS counted
	Passes    uint64 `json:"passes"`    // how often the documents are in the series
	Parts     []Part `json:"parts"`
}

// Part is one object: records of the same length.
type Part struct {
	Records uint64 `json:"records"`
	Stride  int    `json:"stride"` // bytes of a record
}

func partKey(prefix string, i int) string { return fmt.Sprintf("%s/part-%06d", prefix, i) }
func indexKey(prefix string) string       { return prefix + "/index.json" }

// Writer writes a series. It holds one part. Not safe for concurrent use.
type Writer struct {
	bucket store.Bucket
	prefix string
	index  Index

	records [][]byte // of the part being filled
	bytes   int
}

// NewWriter begins a series in a folder. id says what the sequences are made of.
func NewWriter(bucket store.Bucket, prefix, id string) *Writer {
	return &Writer{bucket: bucket, prefix: prefix, index: Index{Version: version, ID: id}}
}

// Add appends a sequence, and writes a part when there is enough for one.
func (w *Writer) Add(ctx context.Context, s Sequence) error {
	r := encode(s)
	if w.bytes > 0 && w.bytes+len(r) > partBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.records, w.bytes = append(w.records, r), w.bytes+len(r)
	return nil
}

// flush writes the part being filled.
func (w *Writer) flush(ctx context.Context) error {
	if len(w.records) == 0 {
		return nil
	}
	longest := 0
	for _, r := range w.records {
		longest = max(longest, len(r))
	}
	stride := longest + sha256.Size
	part := make([]byte, 0, stride*len(w.records))
	for _, r := range w.records {
		start := len(part)
		part = append(append(part, r...), make([]byte, longest-len(r))...)
		digest := seal(w.index.ID, w.index.Sequences, part[start:])
		part = append(part, digest[:]...)
		w.index.Sequences++
	}
	if err := w.put(ctx, partKey(w.prefix, len(w.index.Parts)), part); err != nil {
		return err
	}
	w.index.Parts = append(w.index.Parts, Part{Records: uint64(len(w.records)), Stride: stride})
	w.records, w.bytes = nil, 0
	return nil
}

// Close writes what is left, and the index. Without it there is no series.
func (w *Writer) Close(ctx context.Context, documents, tokens, passes uint64) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	w.index.Documents, w.index.Tokens, w.index.Passes = documents, tokens, passes
	line, err := json.Marshal(w.index)
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return w.put(ctx, indexKey(w.prefix), fmt.Appendf(nil, "%s\n%x\n", line, sha256.Sum256(line)))
}

// put writes an object, unless it is there: then somebody else has written the same.
func (w *Writer) put(ctx context.Context, key string, data []byte) error {
	_, err := w.bucket.Put(ctx, key, bytes.NewReader(data), int64(len(data)), true)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write staged sequences: %w", err)
	}
	return nil
}
