package checkpoint

import (
	"encoding/binary"
	"io"
	"math"
	"sort"
	"strings"
)

// view presents a header followed by slices of float32 as the little-endian bytes of a file,
// without a copy of them. Safe for concurrent ReadAt, so an upload can send several parts at once.
type view struct {
	head   []byte
	pieces [][]float32
	ends   []int64 // byte after piece i
	size   int64
}

var _ io.ReaderAt = (*view)(nil)

func newView(head []byte, pieces [][]float32) *view {
	v := &view{head: head, pieces: pieces, size: int64(len(head))}
	for _, p := range pieces {
		v.size += 4 * int64(len(p))
		v.ends = append(v.ends, v.size)
	}
	return v
}

// reader reads the view from its start. It is an io.ReaderAt too.
func (v *view) reader() io.ReadSeeker { return io.NewSectionReader(v, 0, v.size) }

// ReadAt implements io.ReaderAt.
func (v *view) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= v.size {
		return 0, io.EOF
	}
	n := 0
	if off < int64(len(v.head)) {
		n = copy(p, v.head[off:])
	}
	i := sort.Search(len(v.ends), func(i int) bool { return v.ends[i] > off+int64(n) })
	for ; n < len(p) && i < len(v.pieces); i++ {
		start := v.ends[i] - 4*int64(len(v.pieces[i]))
		n += copyFloats(p[n:], v.pieces[i], off+int64(n)-start)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// copyFloats copies the bytes of src from byte off on, as many as fit into p.
func copyFloats(p []byte, src []float32, off int64) int {
	n := 0
	if r := int(off % 4); r != 0 { // begin inside an element
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(src[off/4]))
		n = copy(p, b[r:])
		off += int64(n)
		if off%4 != 0 {
			return n
		}
	}
	src = src[off/4:]
	whole := min(len(src), (len(p)-n)/4)
	for _, f := range src[:whole] {
		binary.LittleEndian.PutUint32(p[n:], math.Float32bits(f))
		n += 4
	}
	if whole < len(src) && n < len(p) { // end inside an element
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(src[whole]))
		n += copy(p[n:], b[:])
	}
	return n
}

func baseName(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }
