package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
)

var (
	errEndOfBlock = errors.New("end of block")
	// errNoRecord is a cursor that names a place where no record starts.
	errNoRecord = errors.New("no record starts where the cursor says one does: the checkpoint " +
		"belongs to another corpus")
)

// records are the records of one block, in the order of the file.
type records interface {
	// next returns the next record as it stands in the file, valid until the following call, and
	// its position: the byte (contentOf) or the row at which it starts. It fails with
	// errEndOfBlock behind the last record, with a problem in the data, or with an error of the
	// store or of ctx. After one of ctx it may be called again, and after a problem that passes:
	// then it goes on behind the record.
	next(ctx context.Context) ([]byte, int64, error)
	// close gives back what decompresses. next goes on all the same.
	close()
	// held is about how many bytes are held until the following call.
	held() int64
}

var (
	_ records = (*lines)(nil)
	_ records = (*paragraphs)(nil)
	_ records = (*whole)(nil)
	_ records = (*rows)(nil)
)

// lines are the lines that start in a block, without their ends.
type lines struct {
	window
	pos     int64 // of the next line, once synced
	synced  bool
	resumed bool // pos is where a record starts, by promise
}

// newLines starts at the record at offset in the block, or with offset 0 at the first one that
// starts in the block. It reads nothing yet.
func newLines(s *Source, f *file, e Extent, offset int64) *lines {
	o := contentOf(f, e, s.window)
	l := &lines{window: window{opener: o, limit: s.maxRecord, size: s.window, endsAt: math.MaxInt64}}
	origin, before := o.bounds()
	switch {
	case offset > 0:
		l.pos, l.resumed = origin+offset, true
		l.at = l.pos - 1 // to see that a line ends there
	case e.Index == 0:
		l.pos, l.at, l.synced = origin, origin, true
	default:
		l.pos, l.at = before, before
	}
	return l
}

func (l *lines) next(ctx context.Context) ([]byte, int64, error) {
	if err := l.sync(ctx); err != nil {
		return nil, l.pos, err
	}
	if l.pos > l.last() {
		return nil, l.pos, errEndOfBlock
	}
	at := l.pos
	end, err := l.newline(ctx, at, at)
	switch {
	case errors.Is(err, io.EOF) && end == at:
		return nil, at, errEndOfBlock
	case err != nil && !errors.Is(err, io.EOF):
		return nil, at, l.pass(err)
	case end-at > l.limit:
		return nil, at, l.pass(l.tooLong())
	}
	l.pos = end + 1
	return l.bytes(at, end), at, nil
}

// pass makes next go on at the line behind one that is too long.
func (l *lines) pass(err error) error {
	var bad *problem
	if errors.As(err, &bad) && bad.long {
		l.synced, l.resumed, bad.passes = false, false, true
	}
	return err
}

// sync moves pos to the first line start of the block, or checks the one it was given.
func (l *lines) sync(ctx context.Context) error {
	for !l.synced && l.resumed {
		if len(l.buf) > 0 {
			if l.buf[0] != '\n' {
				return errNoRecord
			}
			l.synced = true
		} else if err := l.more(ctx, l.at); errors.Is(err, io.EOF) {
			return errNoRecord
		} else if err != nil {
			return err
		}
	}
	for !l.synced {
		if i := bytes.IndexByte(l.bytes(l.pos, l.end()), '\n'); i >= 0 {
			l.pos += int64(i) + 1
			l.synced = true
			return nil
		}
		// A newline at last() or behind it starts a line of another block.
		l.pos = l.end()
		err := io.EOF
		if l.pos < l.last() {
			err = l.more(ctx, l.pos)
		}
		if errors.Is(err, io.EOF) {
			l.pos, l.synced = math.MaxInt64, true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// paragraphs are runs of lines that are not blank. One belongs to the block in which the blank line
// before it starts; the first of a file to the first block.
type paragraphs struct {
	*lines
	open bool // a line that is not blank starts a paragraph
}

func newParagraphs(l *lines) *paragraphs { return &paragraphs{l, l.synced || l.resumed} }

func (p *paragraphs) next(ctx context.Context) ([]byte, int64, error) {
	if err := p.sync(ctx); err != nil {
		return nil, p.pos, err
	}
	for p.open || p.pos <= p.last() {
		at := p.pos
		end, err := p.line(ctx, at, at)
		switch {
		case errors.Is(err, io.EOF):
			return nil, at, errEndOfBlock
		case err != nil:
			return nil, at, err
		case isBlank(p.bytes(at, end)):
			p.open = at <= p.last()
		case p.open:
			return p.paragraph(ctx, at, end)
		}
		p.pos = end + 1
	}
	return nil, p.pos, errEndOfBlock
}

// paragraph reads on from the end of its first line through the blank line behind it.
func (p *paragraphs) paragraph(ctx context.Context, at, end int64) ([]byte, int64, error) {
	for {
		next, err := p.line(ctx, at, end+1)
		switch {
		case end-at > p.limit:
			return nil, at, p.tooLong()
		case errors.Is(err, io.EOF):
			p.pos, p.open = end+1, false
			return p.bytes(at, end), at, nil
		case err != nil:
			return nil, at, err
		case isBlank(p.bytes(end+1, next)):
			p.pos, p.open = next+1, end+1 <= p.last()
			return p.bytes(at, end), at, nil
		}
		end = next
	}
}

// line returns the end of the line that starts at from; io.EOF if there is none.
func (p *paragraphs) line(ctx context.Context, keep, from int64) (int64, error) {
	if from > p.end() {
		return from, io.EOF // behind a last line without a newline
	}
	end, err := p.newline(ctx, keep, from)
	if errors.Is(err, io.EOF) && end > from {
		err = nil
	}
	return end, err
}

// whole is a block that is one record.
type whole struct {
	window
	done bool
}

func newWhole(s *Source, f *file, e Extent) *whole {
	return &whole{window: window{opener: contentOf(f, e, s.window), limit: s.maxRecord,
		size: s.window, endsAt: math.MaxInt64}}
}

func (w *whole) next(ctx context.Context) ([]byte, int64, error) {
	for !w.done {
		switch err := w.more(ctx, 0); {
		case errors.Is(err, io.EOF) && w.end() > w.limit:
			return nil, 0, w.tooLong()
		case errors.Is(err, io.EOF):
			w.done = true
			return w.bytes(0, w.end()), 0, nil
		case err != nil:
			return nil, 0, err
		}
	}
	return nil, 0, errEndOfBlock
}
