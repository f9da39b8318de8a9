package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Spec announces one tensor to be written.
type Spec struct {
	Name  string
	DType DType
	Shape []int
}

// EncodeHeader is the header of a file that holds the tensors in this order, and the size of that
// whole file in bytes. It is padded with spaces to a multiple of 8, so that data is aligned. The
// same arguments give the same bytes.
func EncodeHeader(specs []Spec, md map[string]string) (header []byte, size int64, err error) {
	var buf bytes.Buffer
	buf.Write(make([]byte, prefix))
	buf.WriteByte('{')
	if len(md) > 0 {
		fmt.Fprintf(&buf, "%q:", metadata)
		writeJSON(&buf, md) // encoding/json sorts the keys
	}
	seen := map[string]bool{metadata: true}
	var at int64
	for _, s := range specs {
		if seen[s.Name] {
			return nil, 0, fmt.Errorf("encode safetensors header: tensor %q twice", s.Name)
		}
		seen[s.Name] = true
		if s.DType.Size() == 0 {
			return nil, 0, fmt.Errorf("encode safetensors header: tensor %q: unknown dtype %q",
				s.Name, s.DType)
		}
		dims := make([]int64, len(s.Shape)) // not nil: a scalar is []
		for i, d := range s.Shape {
			dims[i] = int64(d)
		}
		n, err := byteSize(s.DType, dims)
		if err != nil || at > 1<<62-n {
			return nil, 0, fmt.Errorf("encode safetensors header: tensor %q: shape %v is too large "+
				"or negative", s.Name, s.Shape)
		}
		if buf.Len() > prefix+1 {
			buf.WriteByte(',')
		}
		writeJSON(&buf, s.Name)
		buf.WriteByte(':')
		writeJSON(&buf, struct {
			DType   DType    `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{s.DType, dims, [2]int64{at, at + n}})
		at += n
	}
	buf.WriteByte('}')
	for buf.Len()%8 != 0 {
		buf.WriteByte(' ')
	}
	header = buf.Bytes()
	if len(header) > MaxHeader {
		return nil, 0, fmt.Errorf("encode safetensors header: %d bytes, at most %d", len(header),
			MaxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-prefix))
	return header, int64(len(header)) + at, nil
}

// writeJSON writes a value that cannot fail to encode.
func writeJSON(buf *bytes.Buffer, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("safetensors: encode %T: %v", v, err))
	}
	buf.Write(data)
}

// Writer writes the tensors of one file in order, in pieces of any size.
type Writer struct {
	w       io.Writer
	size    int64
	written int64
	encode  func(dst []byte, src []float32) []byte
	width   int64 // bytes of an element
	scratch []byte
}

// NewWriter writes the header to w. All tensors must be F32, or all BF16; their data follows by
// Write.
func NewWriter(w io.Writer, specs []Spec, md map[string]string) (*Writer, error) {
	out := &Writer{w: w, encode: EncodeF32, width: 4}
	if len(specs) > 0 && specs[0].DType == BF16 {
		out.encode, out.width = EncodeBF16, 2
	}
	for _, s := range specs {
		if s.DType != F32 && s.DType != BF16 || s.DType != specs[0].DType {
			return nil, fmt.Errorf("write safetensors: tensor %q is %s, want all F32 or all BF16", s.Name,
				s.DType)
		}
	}
	header, size, err := EncodeHeader(specs, md)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(header); err != nil {
		return nil, fmt.Errorf("write safetensors header: %w", err)
	}
	out.size, out.written = size, int64(len(header))
	return out, nil
}

// pieceElements bounds the memory of a write, whatever the size of the tensor.
const pieceElements = 64 << 10

// Write writes the next elements of the data, converted to the tensors' type.
func (w *Writer) Write(data []float32) error {
	if int64(len(data)) > (w.size-w.written)/w.width {
		return fmt.Errorf("write safetensors: %d elements more than announced", len(data))
	}
	for len(data) > 0 {
		n := min(len(data), pieceElements)
		w.scratch = w.encode(w.scratch[:0], data[:n])
		if _, err := w.w.Write(w.scratch); err != nil {
			return fmt.Errorf("write safetensors: %w", err)
		}
		w.written += int64(len(w.scratch))
		data = data[n:]
	}
	return nil
}

// Close checks that all announced data was written. It does not close the io.Writer.
func (w *Writer) Close() error {
	if w.written != w.size {
		return fmt.Errorf("write safetensors: %d bytes written, %d announced", w.written, w.size)
	}
	return nil
}

// Size is the size of the whole file in bytes.
func (w *Writer) Size() int64 { return w.size }
