package source

import (
	"context"
	"errors"
	"fmt"
)

// Document is one record with text.
type Document struct {
	Block  uint64 // block number n
	File   int    // index in the source
	Start  int64  // byte offset in the file at which the record starts
	Offset int64  // the same, from the start of its block
	Text   string // not empty
}

// Reader gives the documents of one slot, in order, without end.
type Reader struct {
	src    *Source
	number uint64 // block number being read
	offset int64  // >0: the record to start at inside it
	lines  *lines // nil: the block is still to be entered
	block  uint64 // index of the block being read
	whole  bool   // it is read from its first record on
	found  bool   // a document was found in it
}

// Reader returns a reader for a slot: from the record at a byte offset of a block number, or from
// the start of that block with offset 0. A new slot starts at block number slot.
func (s *Source) Reader(slot int, number uint64, offset int64) (*Reader, error) {
	if slot < 0 || uint64(slot) >= s.slots || number%s.slots != uint64(slot) {
		return nil, fmt.Errorf("seek source %q: block number %d is not of slot %d of %d",
			s.name, number, slot, s.slots)
	}
	extent := s.layout.Extent(s.block(number))
	if offset < 0 || offset >= extent.End-extent.Start {
		return nil, fmt.Errorf("seek source %q: offset %d is outside of block number %d",
			s.name, offset, number)
	}
	return &Reader{src: s, number: number, offset: offset}, nil
}

// Next returns the next document. It blocks on the store. After an error of the context it may be
// called again; any other error is final: ErrInvalid, ErrExhausted, or one of the store's.
func (r *Reader) Next(ctx context.Context) (Document, error) {
	for {
		if r.lines == nil {
			if err := r.enter(ctx); err != nil {
				return Document{}, err
			}
			continue
		}
		line, at, err := r.lines.next(ctx)
		if errors.Is(err, errEndOfBlock) {
			if err := r.leave(); err != nil {
				return Document{}, err
			}
			continue
		}
		if err != nil {
			return Document{}, r.explain(at, err)
		}
		if isBlank(line) {
			continue
		}
		text, bad := parseRecord(line, r.src.field)
		if bad != nil {
			return Document{}, r.explain(at, bad)
		}
		if text == "" {
			continue
		}
		r.found = true
		extent := r.lines.extent
		return Document{Block: r.number, File: extent.File, Start: at, Offset: at - extent.Start,
			Text: text}, nil
	}
}

// enter opens the block with the current number, or passes over it if it is known to be barren.
func (r *Reader) enter(ctx context.Context) error {
	if r.number >= r.src.limit {
		return fmt.Errorf("read source %q: %w: slot %d has read its share of %g epochs "+
			"(max_epochs): add text, raise max_epochs, lower its weight or train fewer tokens",
			r.src.name, ErrExhausted, r.number%r.src.slots, r.src.maxEpochs)
	}
	// A source without any document would be passed over for ever, and ends in leave. The context
	// is looked at because a stretch of barren blocks reads nothing.
	if err := ctx.Err(); err != nil {
		return err
	}
	r.block = r.src.block(r.number)
	if r.offset == 0 && r.src.isBarren(r.block) {
		r.number += r.src.slots
		return nil
	}
	extent := r.src.layout.Extent(r.block)
	r.lines = newLines(r.src, extent, r.offset)
	r.whole, r.found, r.offset = r.offset == 0, false, 0
	return nil
}

func (r *Reader) leave() error {
	r.lines = nil
	r.number += r.src.slots
	if r.whole && !r.found {
		return r.src.markBarren(r.block)
	}
	return nil
}

// explain adds the source, the file and the record to an error.
func (r *Reader) explain(at int64, err error) error {
	uri := r.src.files[r.lines.extent.File].uri
	if bad, ok := err.(*problem); ok {
		return &RecordError{Source: r.src.name, URI: uri, Record: at, Byte: at + int64(bad.at),
			What: bad.what, Fix: bad.fix}
	}
	return fmt.Errorf("read source %q: %s: %w", r.src.name, uri, err)
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if !isSpace(c) {
			return false
		}
	}
	return true
}
