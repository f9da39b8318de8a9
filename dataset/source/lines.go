package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// windowBytes is the size of the ranges read. A block is read in windows, so that a reader that
// waits between two sequences holds little. A 64th of it is read beyond the end of a block, as the
// last record usually needs; longer records are read on in ranges of up to 4 windows, and a larger
// buffer does not outlive the record that needed it.
const windowBytes = 256 << 10

var errEndOfBlock = errors.New("end of block")

// lines reads the lines that start in one block.
type lines struct {
	file      *file
	extent    Extent
	maxRecord int64
	window    int64
	synced    bool
	resumed   bool   // pos is the start of a line by promise; else it is the start of the block
	pos       int64  // byte offset in the file of what comes next
	win       []byte // bytes of the file from winAt on
	winAt     int64
}

// newLines starts at the line at offset in the block, or with offset 0 at the first line that
// starts in the block. It reads nothing yet.
func newLines(s *Source, e Extent, offset int64) *lines {
	l := &lines{
		file: s.files[e.File], extent: e, maxRecord: s.maxRecord, window: s.window,
		resumed: offset > 0,
	}
	l.pos = e.Start + offset
	if l.pos == 0 {
		l.synced = true
		return l
	}
	l.pos-- // to see whether a line starts here: only behind a newline
	l.winAt = l.pos
	return l
}

// next returns the next line without its newline, and its offset in the file. The line is valid
// until the following call. It fails with errEndOfBlock behind the last line, with a problem for
// a line over max_record, else with an error of the store.
func (l *lines) next(ctx context.Context) ([]byte, int64, error) {
	if err := l.sync(ctx); err != nil {
		return nil, l.pos, err
	}
	if l.pos >= l.extent.End {
		return nil, l.pos, errEndOfBlock
	}
	seen := 0
	for {
		line := l.win[min(l.pos-l.winAt, int64(len(l.win))):]
		end := bytes.IndexByte(line[seen:], '\n')
		seen += max(end, 0)
		if end < 0 {
			seen = len(line)
		}
		if int64(seen) > l.maxRecord {
			what := fmt.Sprintf("the record is longer than max_record (%d bytes)", l.maxRecord)
			return nil, l.pos, &problem{int(l.maxRecord), what, "split it, or raise data.max_record"}
		}
		at := l.pos
		if end >= 0 {
			l.pos += int64(seen) + 1
			return line[:seen], at, nil
		}
		if l.winEnd() >= l.file.size {
			l.pos = l.file.size
			return line, at, nil
		}
		if err := l.fill(ctx); err != nil {
			return nil, at, err
		}
	}
}

// sync moves pos to the first line start of the block, or checks the one it was given.
func (l *lines) sync(ctx context.Context) error {
	for !l.synced {
		// A newline in the last byte starts a line in the next block.
		window := l.win[:min(int64(len(l.win)), max(l.extent.End-1-l.winAt, 0))]
		end := bytes.IndexByte(window, '\n')
		switch {
		case end == 0 || end > 0 && !l.resumed:
			l.pos = l.winAt + int64(end) + 1
			l.synced = true
		case l.resumed && len(window) > 0:
			return fmt.Errorf("no record starts at byte %d, where the cursor says one does: "+
				"the checkpoint belongs to another corpus", l.pos+1)
		case l.winAt+int64(len(window)) >= l.extent.End-1:
			l.pos = l.extent.End
			l.synced = true
		default:
			l.pos = l.winEnd()
			if err := l.fill(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lines) winEnd() int64 { return l.winAt + int64(len(l.win)) }

// fill drops what lies before pos and reads the next range: inside the block a window, and if it
// reaches its end some more; behind it ever more, for the rest of a long record.
func (l *lines) fill(ctx context.Context) error {
	rest := l.win[min(max(l.pos-l.winAt, 0), int64(len(l.win))):]
	from, tail := l.winEnd(), l.window/64+1
	grow := min(int64(len(rest)), 4*l.window) // ever larger ranges for one record
	want := min(l.extent.End+tail-from, max(l.window, grow))
	if from >= l.extent.End {
		want = max(grow, 2*tail)
	}
	want = min(want, l.file.size-from)
	next := l.win[:0]
	if keep := 4 * l.window; int64(cap(next)) > keep && int64(len(rest))+want <= keep {
		next = nil
	}
	next = slices.Grow(next, len(rest)+int(want))[:len(rest)+int(want)]
	copy(next, rest)
	if err := l.file.read(ctx, from, next[len(rest):]); err != nil {
		l.win, l.winAt = next[:len(rest)], from-int64(len(rest))
		return err
	}
	l.win, l.winAt = next, from-int64(len(rest))
	return nil
}
