package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Bounds of the windows in which a block is read, so that a reader that waits between two sequences
// holds little. A larger buffer does not outlive the record that needed it.
const (
	MinWindow = 8 << 10
	MaxWindow = 256 << 10
)

// window is the part of a block's content that is in memory.
type window struct {
	opener
	limit  int64   // bytes of the longest record
	size   int64   // of the reads
	from   content // nil: to be opened at end()
	buf    []byte
	at     int64 // position of buf
	ended  bool  // nothing follows buf
	endsAt int64 // last position of the block, as content said before it was closed
}

func (w *window) end() int64 { return w.at + int64(len(w.buf)) }

// bytes are those at [a, b), valid until the next call of more.
func (w *window) bytes(a, b int64) []byte { return w.buf[a-w.at : b-w.at] }

// more drops what lies before keep and reads on. It fails with io.EOF at the end of the file, and
// with a problem when what is kept is longer than a record may be.
func (w *window) more(ctx context.Context, keep int64) error {
	if w.ended {
		return io.EOF
	}
	if w.end()-keep > w.limit {
		return w.tooLong()
	}
	if w.from == nil {
		from, err := w.open(ctx, w.end())
		if err != nil {
			return err
		}
		w.from = from
	}
	rest := w.buf[min(keep-w.at, int64(len(w.buf))):]
	next := w.buf[:0]
	// To a full window; for one record ever larger reads.
	want := max(w.size-int64(len(rest)), min(int64(len(rest)), 4*w.size))
	if most := 4 * w.size; int64(cap(next)) > most && int64(len(rest))+w.size <= most {
		next = nil
	}
	at := w.end() - int64(len(rest))
	next = append(next, rest...)
	next, err := w.from.more(ctx, next, want)
	w.buf, w.at = next, at
	switch {
	case errors.Is(err, io.EOF):
		w.ended = true
	case err != nil:
		w.close()
	}
	return err
}

func (w *window) tooLong() *problem {
	what := fmt.Sprintf("the record is longer than max_record (%d bytes)", w.limit)
	return &problem{at: int(w.limit), what: what, fix: "split it, or raise data.max_record",
		long: true}
}

// last is the last position at which a record of the block may start, as far as is known.
func (w *window) last() int64 {
	if w.from != nil {
		w.endsAt = w.from.last()
	}
	return w.endsAt
}

// newline returns the position of the first newline from `from` on, reading on as need be and
// keeping what lies behind keep; at the end of the file that end, and io.EOF.
func (w *window) newline(ctx context.Context, keep, from int64) (int64, error) {
	for {
		if i := bytes.IndexByte(w.bytes(from, w.end()), '\n'); i >= 0 {
			return from + int64(i), nil
		}
		from = w.end()
		if err := w.more(ctx, keep); err != nil {
			return from, err
		}
	}
}

// close gives back what decompresses, and keeps the text. Reading on opens it anew.
func (w *window) close() {
	if w.from != nil {
		w.endsAt = w.from.last()
		w.from.close()
		w.from = nil
	}
}

func (w *window) held() int64 {
	n := int64(cap(w.buf))
	if w.from != nil {
		n += w.from.held()
	}
	return n
}
