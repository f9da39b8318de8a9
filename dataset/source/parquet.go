package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Bounds of what a parquet file makes a reader hold.
const (
	maxFooter     = 64 << 20
	maxPage       = 128 << 20 // of a page, decompressed
	maxPageValues = 1 << 24
)

const fixParquet = "check the file with another reader, such as pyarrow, and write it anew"

// rangeAt reads a file for a library that wants an io.ReaderAt. The caller sets ctx before each of
// the library's calls; err is what the store said.
type rangeAt struct {
	file   *file
	window int64
	buf    []byte
	at     int64 // of buf
	ctx    context.Context
	err    error
}

// ReadAt reads a window at least, as what follows is wanted next; at the end of the file, what
// comes before it is.
func (r *rangeAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= r.file.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.file.size-off)
	if off < r.at || off+n > r.at+int64(len(r.buf)) {
		from := max(0, min(off, r.file.size-r.window))
		end := min(r.file.size, max(off+n, from+r.window))
		if n >= r.window { // a large page: past the buffer
			if r.err = r.file.read(r.ctx, off, p[:n]); r.err != nil {
				return 0, r.err
			}
			return short(int(n), p)
		}
		if int64(cap(r.buf)) < end-from {
			r.buf = make([]byte, end-from)
		}
		r.buf, r.at = r.buf[:end-from], from
		if r.err = r.file.read(r.ctx, from, r.buf); r.err != nil {
			r.buf = r.buf[:0]
			return 0, r.err
		}
	}
	return short(copy(p, r.buf[off-r.at:]), p)
}

// short is what ReadAt says about n bytes of p.
func short(n int, p []byte) (int, error) {
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// table is an open parquet file and its column of texts.
type table struct {
	*parquet.File
	in     *rangeAt
	leaf   parquet.LeafColumn
	footer int64 // bytes
}

// openTable reads a footer. The metadata are looked over first: see thrift.
func openTable(ctx context.Context, f *file, window int64, path []string) (*table, error) {
	in := &rangeAt{file: f, window: window, ctx: ctx}
	var tail [8]byte
	if f.size < 12 {
		return nil, notParquet("it is too short")
	}
	if _, err := in.ReadAt(tail[:], f.size-8); err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(tail[:]))
	switch {
	case string(tail[4:]) != "PAR1":
		return nil, notParquet("it does not end with PAR1 (it may be cut off, or encrypted)")
	case size > f.size-12:
		return nil, notParquet("its footer is longer than the file")
	case size > maxFooter:
		return nil, &problem{what: fmt.Sprintf("the footer has %d bytes, more than %d", size,
			maxFooter), fix: "write it with fewer row groups or columns"}
	}
	footer := make([]byte, size)
	if _, err := in.ReadAt(footer, f.size-8-size); err != nil {
		return nil, err
	}
	if walk := newThrift(footer); !walk.structure() {
		return nil, notParquet("its metadata are damaged, or have over a million entries")
	}
	t := &table{in: in, footer: size}
	err := shielded(in, func() (err error) {
		t.File, err = parquet.OpenFile(in, f.size, parquet.SkipPageIndex(true),
			parquet.SkipBloomFilters(true), parquet.SkipMagicBytes(true),
			parquet.ReadBufferSize(64<<10))
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, t.find(path)
}

func notParquet(why string) *problem {
	return &problem{what: "the file is not parquet: " + why, fix: fixParquet}
}

// find looks the column of texts up.
func (t *table) find(path []string) error {
	leaf, ok := t.Schema().Lookup(path...)
	name := strings.Join(path, ".")
	const fix = "name the column of strings that holds the text in the source's text_field"
	switch {
	case !ok:
		var have []string
		for _, column := range t.Schema().Columns() {
			if len(have) < 5 {
				have = append(have, strings.Join(column, "."))
			}
		}
		return &problem{what: fmt.Sprintf("no column %q", name),
			fix: fmt.Sprintf("%s (the file has %s)", fix, strings.Join(have, ", "))}
	case leaf.MaxRepetitionLevel > 0:
		return &problem{what: fmt.Sprintf("column %q is a list", name), fix: fix}
	case leaf.Node.Type().Kind() != parquet.ByteArray:
		return &problem{what: fmt.Sprintf("column %q is %v, not strings", name, leaf.Node.Type()),
			fix: fix}
	}
	t.leaf = leaf
	return nil
}

// shielded calls the library. What it panics with is an error of the file, as are its own errors
// unless the store is behind them.
func shielded(in *rangeAt, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = notParquet(fmt.Sprint(p))
		}
	}()
	err = call()
	switch {
	case err == nil:
		return nil
	case in.err != nil:
		return in.err
	}
	var bad *problem
	if errors.As(err, &bad) {
		return bad
	}
	return &problem{what: fmt.Sprintf("damaged parquet: %v", err), fix: fixParquet}
}

// rows are the values of one column in one row group.
type rows struct {
	source  *Source
	file    *file
	extent  Extent
	at      int64 // row that comes next, in the row group
	table   *table
	pages   parquet.Pages
	page    parquet.Page
	values  parquet.ValueReader
	checked int64 // pages that start before it in the file are of a sound size
	end     int64 // of the column's pages in the file
	batch   [64]parquet.Value
	ready   []parquet.Value // of batch
}

// newRows starts at a row of the row group. It reads nothing yet.
func newRows(s *Source, f *file, e Extent, row int64) *rows {
	return &rows{source: s, file: f, extent: e, at: row}
}

func (r *rows) next(ctx context.Context) ([]byte, int64, error) {
	row := r.at
	if row >= r.extent.End-r.extent.Start {
		return nil, r.extent.End, errEndOfBlock
	}
	if r.table == nil {
		if err := r.open(ctx); err != nil {
			r.close()
			return nil, r.extent.Start + row, err
		}
	}
	r.table.in.ctx = ctx
	for len(r.ready) == 0 {
		if err := r.read(ctx); err != nil {
			r.close() // a library that was interrupted is opened anew
			return nil, r.extent.Start + row, err
		}
	}
	value := r.ready[0]
	r.ready, r.at = r.ready[1:], row+1
	if value.IsNull() {
		name := strings.Join(r.table.leaf.Path, ".")
		return nil, r.extent.Start + row, &problem{what: fmt.Sprintf("column %q is null", name),
			fix: "leave such rows out of the file, or write an empty string", passes: true}
	}
	text := value.ByteArray()
	if int64(len(text)) > r.source.maxRecord {
		return nil, r.extent.Start + row, &problem{what: fmt.Sprintf("the record is longer than "+
			"max_record (%d bytes)", r.source.maxRecord), fix: "split it, or raise data.max_record",
			passes: true}
	}
	return text, r.extent.Start + row, nil
}

// open opens the row group and passes over the rows before at.
func (r *rows) open(ctx context.Context) error {
	t, err := openTable(ctx, r.file, r.source.window, r.source.path)
	if err != nil {
		return err
	}
	groups := t.RowGroups()
	if r.extent.Index >= len(groups) ||
		groups[r.extent.Index].NumRows() != r.extent.End-r.extent.Start {
		return notParquet("its row groups are not those that were pinned")
	}
	r.table = t
	meta := t.Metadata().RowGroups[r.extent.Index].Columns[t.leaf.ColumnIndex].MetaData
	r.checked = meta.DataPageOffset
	if d := meta.DictionaryPageOffset; d != 0 {
		r.checked = d
	}
	r.end = r.checked + meta.TotalCompressedSize
	if r.checked < 0 || r.end < r.checked || r.end > r.file.size {
		return notParquet("a column lies outside of the file")
	}
	err = shielded(t.in, func() error {
		r.pages = groups[r.extent.Index].ColumnChunks()[t.leaf.ColumnIndex].Pages()
		return nil
	})
	for skip := r.at; skip > 0 && err == nil; {
		if len(r.ready) == 0 {
			err = r.read(ctx)
		}
		n := min(skip, int64(len(r.ready)))
		r.ready, skip = r.ready[n:], skip-n
	}
	return err
}

// read makes the next values ready.
func (r *rows) read(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return shielded(r.table.in, func() error {
		if r.page == nil {
			if err := r.sound(); err != nil {
				return err
			}
			page, err := r.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return notParquet("a row group has fewer rows than it says")
			}
			if err != nil {
				return err
			}
			r.page, r.values = page, page.Values()
		}
		n, err := r.values.ReadValues(r.batch[:])
		r.ready = r.batch[:n]
		if errors.Is(err, io.EOF) {
			err = nil
			if n == 0 {
				parquet.Release(r.page)
				r.page, r.values = nil, nil
			}
		}
		return err
	})
}

// sound looks at the heads of pages through the next one with values: the library makes room for
// what they say before it reads on.
func (r *rows) sound() error {
	for r.checked < r.end {
		const dictionary = 2
		var kind, size, packed, values int64
		var n int
		for room := min(int64(1<<10), r.end-r.checked); ; {
			head := make([]byte, room)
			if _, err := r.table.in.ReadAt(head, r.checked); err != nil && r.table.in.err != nil {
				return err
			}
			walk := newThrift(head)
			walk.visit = func(path []int, v int64) {
				switch {
				case len(path) == 1 && path[0] == 1:
					kind = v
				case len(path) == 1 && path[0] == 2:
					size = v
				case len(path) == 1 && path[0] == 3:
					packed = v
				case len(path) == 2 && path[1] == 1: // num_values of any kind of page
					values = v
				}
			}
			if walk.structure() {
				n = walk.i
				break
			}
			if !walk.short || room == r.end-r.checked {
				return notParquet(fmt.Sprintf("the head of the page at byte %d is damaged", r.checked))
			}
			room = min(8*room, r.end-r.checked)
		}
		if size < 0 || size > maxPage || packed < 0 || packed > maxPage || values > maxPageValues {
			return &problem{what: fmt.Sprintf("the page at byte %d has %d values in %d bytes, more "+
				"than %d or %d", r.checked, values, max(size, packed), maxPageValues, maxPage),
				fix: "write it with smaller pages (pyarrow: data_page_size)"}
		}
		if r.checked += int64(n) + packed; kind != dictionary {
			return nil
		}
	}
	return nil
}

// held counts a page twice: as it was read and decompressed.
func (r *rows) held() int64 {
	if r.table == nil {
		return 0
	}
	n := int64(cap(r.table.in.buf)) + r.table.footer
	if r.page != nil {
		n += 2 * r.page.Size()
	}
	return n
}

func (r *rows) close() {
	if r.table == nil {
		return
	}
	_ = shielded(r.table.in, func() error { // nothing was written: there is nothing to lose
		if r.page != nil {
			parquet.Release(r.page)
		}
		if r.pages != nil {
			return r.pages.Close()
		}
		return nil
	})
	r.table, r.pages, r.page, r.values, r.ready = nil, nil, nil, nil, nil
}
