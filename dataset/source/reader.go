package source

import (
	"context"
	"errors"
	"fmt"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Document is one record with text.
type Document struct {
	Block uint64 // block number n
	File  int    // index in the source
	// Start is where the record starts in the file: the byte, or the row of a parquet file. Of a
	// compressed file it counts the bytes that the record's block decompresses to.
	Start  int64
	Offset int64  // the same, from the start of the block
	Text   string // not empty
}

// Reader gives the documents of one slot, in order, without end.
type Reader struct {
	src     *Source
	number  uint64  // block number being read
	offset  int64   // >0: the record to start at inside it
	records records // nil: the block is still to be entered
	parse   parse
	extent  Extent // of the block being read
	block   uint64 // its index
	whole   bool   // it is read from its first record on
	found   bool   // a document was found in it
}

// Reader returns a reader for a slot: from the record at an offset of a block number, or from the
// start of that block with offset 0. A new slot starts at block number slot.
func (s *Source) Reader(slot int, number uint64, offset int64) (*Reader, error) {
	if slot < 0 || uint64(slot) >= s.slots || number%s.slots != uint64(slot) {
		return nil, fmt.Errorf("seek source %q: block number %d is not of slot %d of %d",
			s.name, number, slot, s.slots)
	}
	extent := s.layout.Extent(s.block(number))
	if offset < 0 || offset > 0 && offset >= s.reach(extent) {
		return nil, fmt.Errorf("seek source %q: offset %d is outside of block number %d",
			s.name, offset, number)
	}
	return &Reader{src: s, number: number, offset: offset}, nil
}

// reach is more than every offset of a record in a block.
func (s *Source) reach(e Extent) int64 {
	f := s.files[e.File]
	switch {
	case f.document == pb.Document_FILE:
		return 1
	case f.compression != pb.Compression_COMPRESSION_UNSPECIFIED:
		return math.MaxInt64 // known when it is decompressed
	case f.document == pb.Document_PARAGRAPH:
		return f.size - e.Start // it may start behind the blank line that ends the block
	}
	return e.End - e.Start
}

// Next returns the next document. It blocks on the store. After an error of the context it may be
// called again; any other error is final: ErrInvalid, ErrExhausted, or one of the store's.
func (r *Reader) Next(ctx context.Context) (Document, error) {
	for {
		if r.records == nil {
			if err := r.enter(ctx); err != nil {
				return Document{}, err
			}
			continue
		}
		raw, at, err := r.records.next(ctx)
		if errors.Is(err, errEndOfBlock) {
			if err := r.leave(); err != nil {
				return Document{}, err
			}
			continue
		}
		var text string
		if err == nil {
			var bad *problem
			if text, bad = r.parse(raw); bad != nil {
				bad.passes, err = true, bad
			}
		}
		if err != nil {
			if err := r.pass(at, err); err != nil {
				return Document{}, err
			}
			continue
		}
		if text == "" {
			continue
		}
		r.found = true
		return Document{Block: r.number, File: r.extent.File, Start: at, Offset: at - r.origin(),
			Text: text}, nil
	}
}

// Rest gives back what decompresses, but no text that is read already. Next opens it again and
// decompresses anew what lies before.
func (r *Reader) Rest() {
	if r.records != nil {
		r.records.close()
	}
}

// Held is about how many bytes the Reader holds until it is used again.
func (r *Reader) Held() int64 {
	if r.records == nil {
		return 0
	}
	return r.records.held()
}

// Close gives back all that the Reader holds. It is of no more use.
func (r *Reader) Close() {
	r.Rest()
	r.records = nil
}

// origin is the position that offsets in the block count from.
func (r *Reader) origin() int64 {
	if r.src.files[r.extent.File].compression != pb.Compression_COMPRESSION_UNSPECIFIED {
		return 0
	}
	return r.extent.Start
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
	r.extent = r.src.layout.Extent(r.block)
	r.records, r.parse = r.src.open(r.extent, r.offset)
	r.whole, r.found, r.offset = r.offset == 0, false, 0
	return nil
}

func (r *Reader) leave() error {
	r.records.close()
	r.records = nil
	r.number += r.src.slots
	if r.whole && !r.found {
		return r.src.markBarren(r.block)
	}
	return nil
}

// pass goes on behind a record that cannot be used, if the source has somebody to tell.
func (r *Reader) pass(at int64, err error) error {
	err = r.explain(at, err)
	var bad *RecordError
	if r.src.bad == nil || !errors.As(err, &bad) {
		return err
	}
	r.src.bad(bad)
	r.found = true // the block is not without records
	if bad.passes {
		return nil
	}
	return r.leave()
}

// explain adds the source, the file and the record to an error.
func (r *Reader) explain(at int64, err error) error {
	f := r.src.files[r.extent.File]
	var bad *problem
	if errors.As(err, &bad) {
		e := &RecordError{Source: r.src.name, URI: f.uri, Place: r.place(at), Record: at,
			Byte: at + int64(bad.at), What: bad.what, Fix: bad.fix, passes: bad.passes}
		if f.compression != pb.Compression_COMPRESSION_UNSPECIFIED && (e.Fix == fixUTF8 ||
			e.Fix == fixJSON) { // bytes that were hit decompress to nonsense before a checksum comes
			e.Fix += "; was it good once, the file is damaged: " + testOf(f.compression) + " tells"
		}
		if e.row = f.format == pb.Format_PARQUET; e.row {
			e.Byte = int64(bad.at)
		}
		return e
	}
	return fmt.Errorf("read source %q: %s: %s: %w", r.src.name, f.uri, r.place(at), err)
}

// place is where a record is, in words.
func (r *Reader) place(at int64) string {
	f := r.src.files[r.extent.File]
	switch {
	case f.format == pb.Format_PARQUET:
		return fmt.Sprintf("row %d (of row group %d)", at, r.extent.Index)
	case f.compression == pb.Compression_COMPRESSION_UNSPECIFIED:
		return fmt.Sprintf("record at byte %d", at)
	case r.extent.Index == 0:
		return fmt.Sprintf("record at byte %d of what it decompresses to", at)
	}
	return fmt.Sprintf("record at byte %d of what its bytes from %d on decompress to", at,
		r.extent.Start)
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if !isSpace(c) {
			return false
		}
	}
	return true
}
