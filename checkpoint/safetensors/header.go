package safetensors

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// MaxHeader is the largest header that is read, in bytes (the limit of the reference reader).
const MaxHeader = 100_000_000

const (
	prefix   = 8              // the length field
	metadata = "__metadata__" // the one name that is no tensor
	maxDims  = 16             // no real tensor comes near
)

// Tensor says where one tensor lies.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // empty: a scalar
	Start int64 // first byte, counted from the start of the file
	End   int64 // byte after the last
}

// Elements is the number of elements.
func (t Tensor) Elements() int { return int((t.End - t.Start) / t.DType.Size()) }

// Header is the parsed head of a file.
type Header struct {
	Tensors  []Tensor          // in the order of their data
	Metadata map[string]string // free text of the writer; nil if none
	Size     int64             // bytes before the data, the length field included

	byName map[string]int
}

// Lookup finds a tensor by name.
func (h *Header) Lookup(name string) (Tensor, bool) {
	i, ok := h.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// ErrInvalid is in the chain of errors about files that break the format.
var ErrInvalid = errors.New("the file is damaged, cut short or no safetensors; fetch it again, " +
	"or save the model anew")

// invalid marks an error of parsing.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), ErrInvalid)
}

// ReadRange reads exactly len(p) bytes from offset off, or fails.
type ReadRange func(ctx context.Context, off int64, p []byte) error

// ReadHeader reads and checks the header of a file of size bytes. It makes two reads.
func ReadHeader(ctx context.Context, size int64, read ReadRange) (*Header, error) {
	if size < prefix {
		return nil, invalid("read safetensors header: file of %d bytes is too short", size)
	}
	var head [prefix]byte
	if err := read(ctx, 0, head[:]); err != nil {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	n, err := headerLength(head[:], size)
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if err := read(ctx, prefix, data); err != nil {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	return parse(data, size)
}

// ParseHeader checks the header at the start of head, the first bytes of a file of size bytes.
func ParseHeader(head []byte, size int64) (*Header, error) {
	if len(head) < prefix {
		return nil, invalid("read safetensors header: %d bytes are too few", len(head))
	}
	n, err := headerLength(head, size)
	if err != nil {
		return nil, err
	}
	if int64(len(head))-prefix < n {
		return nil, invalid("read safetensors header: have %d of %d bytes", len(head)-prefix, n)
	}
	return parse(head[prefix:prefix+n], size)
}

func headerLength(head []byte, size int64) (int64, error) {
	n := binary.LittleEndian.Uint64(head)
	if n > MaxHeader {
		return 0, invalid("read safetensors header: length %d is over %d", n, MaxHeader)
	}
	if int64(n) > size-prefix {
		return 0, invalid("read safetensors header: length %d in a file of %d bytes", n, size)
	}
	return int64(n), nil
}

func parse(data []byte, size int64) (*Header, error) {
	h := &Header{Size: prefix + int64(len(data)), byName: make(map[string]int)}
	if len(data) == 0 || data[0] != '{' {
		return nil, invalid("parse safetensors header: does not start with {")
	}
	members, err := Members(data)
	if err != nil {
		return nil, invalid("parse safetensors header: %w", err)
	}
	for _, m := range members {
		if m.Name == metadata {
			if h.Metadata, err = parseMetadata(m.Value); err != nil {
				return nil, invalid("parse safetensors header: %w", err)
			}
			continue
		}
		t, err := parseTensor(m, h.Size)
		if err != nil {
			return nil, invalid("parse safetensors header: tensor %.200q: %w", m.Name, err)
		}
		h.Tensors = append(h.Tensors, t)
	}
	// Empty tensors share their start with the next one: they come first.
	slices.SortFunc(h.Tensors, func(a, b Tensor) int {
		switch {
		case a.Start != b.Start:
			return cmp(a.Start, b.Start)
		case a.End != b.End:
			return cmp(a.End, b.End)
		}
		return strings.Compare(a.Name, b.Name)
	})
	at := h.Size
	for i, t := range h.Tensors {
		if t.Start != at {
			return nil, invalid("parse safetensors header: tensor %.200q starts at byte %d, want %d: the "+
				"data has a hole or an overlap", t.Name, t.Start, at)
		}
		at = t.End
		h.byName[t.Name] = i
	}
	if at != size {
		return nil, invalid("parse safetensors header: tensors end at byte %d of %d", at, size)
	}
	return h, nil
}

func cmp(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}

func parseMetadata(data []byte) (map[string]string, error) {
	members, err := Members(data)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	md := make(map[string]string, len(members))
	for _, m := range members {
		var s *string
		if err := json.Unmarshal(m.Value, &s); err != nil || s == nil {
			return nil, fmt.Errorf("metadata: value of %.200q is not a string", m.Name)
		}
		md[m.Name] = *s
	}
	return md, nil
}

// parseTensor checks one entry. base is where the data starts in the file.
func parseTensor(m Member, base int64) (Tensor, error) {
	t := Tensor{Name: m.Name}
	fields, err := Members(m.Value)
	if err != nil {
		return t, err
	}
	var shape, offsets []int64
	for _, f := range fields {
		switch f.Name {
		case "dtype":
			err = json.Unmarshal(f.Value, &t.DType)
		case "shape":
			shape, err = integers(f.Value)
		case "data_offsets":
			offsets, err = integers(f.Value)
		default:
			err = fmt.Errorf("unknown field")
		}
		if err != nil {
			return t, fmt.Errorf("%.200q: %w", f.Name, err)
		}
	}
	if t.DType.Size() == 0 {
		return t, fmt.Errorf("unknown dtype %.200q; quantized weights must be dequantized first",
			t.DType)
	}
	if shape == nil || len(offsets) != 2 {
		return t, fmt.Errorf("want a shape and two data_offsets")
	}
	want, err := byteSize(t.DType, shape)
	if err != nil {
		return t, err
	}
	from, to := offsets[0], offsets[1]
	// from + base cannot overflow once from is known to be small; the end of file is checked later.
	if from < 0 || to < from || to > 1<<62 || to-from != want {
		return t, fmt.Errorf("data_offsets [%d,%d] are not the %d bytes of %s%v", from, to, want,
			t.DType, shape)
	}
	t.Shape = make([]int, len(shape))
	for i, d := range shape {
		t.Shape[i] = int(d)
	}
	t.Start, t.End = base+from, base+to
	return t, nil
}

// integers decodes a list of integers; encoding/json alone would take null for 0.
func integers(data []byte) ([]int64, error) {
	var list []*int64
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("want a list of integers")
	}
	out := make([]int64, len(list))
	for i, p := range list {
		if p == nil {
			return nil, fmt.Errorf("want a list of integers")
		}
		out[i] = *p
	}
	return out, nil
}

// byteSize is the size of a tensor, or an error if it does not fit.
func byteSize(d DType, shape []int64) (int64, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("%d dimensions, at most %d", len(shape), maxDims)
	}
	n := uint64(d.Size())
	for _, dim := range shape {
		if dim < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", shape)
		}
		hi, lo := bits.Mul64(n, uint64(dim))
		if hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("shape %v is too large", shape)
		}
		n = lo
	}
	return int64(n), nil
}
