package safetensors_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
)

// file is a header's JSON with its length before it and data bytes after it.
func file(json string, data int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(json)))
	return append(append(out, json...), make([]byte, data)...)
}

func parse(f []byte) (*safetensors.Header, error) {
	return safetensors.ParseHeader(f, int64(len(f)))
}

func TestWriteThenRead(t *testing.T) {
	specs := []safetensors.Spec{
		{Name: "b", DType: safetensors.F32, Shape: []int{2, 3}},
		{Name: "scalar", DType: safetensors.F32},
		{Name: "empty", DType: safetensors.F32, Shape: []int{0, 4}},
		{Name: "ü\"<a>", DType: safetensors.F32, Shape: []int{70_000}}, // more than one piece
	}
	values := make([]float32, 6+1+70_000)
	for i := range values {
		values[i] = float32(math.Sin(float64(i)))
	}
	var buf bytes.Buffer
	w, err := safetensors.NewWriter(&buf, specs, map[string]string{"format": "pt", "a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(values[:4]); err != nil {
		t.Fatal(err)
	}
	if w.Close() == nil {
		t.Error("Close of half a file passed")
	}
	if err := w.Write(values[4:]); err != nil {
		t.Fatal(err)
	}
	if w.Write(values[:1]) == nil {
		t.Error("more data than announced passed")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if w.Size() != int64(buf.Len()) {
		t.Errorf("size is %d, written are %d", w.Size(), buf.Len())
	}

	data := buf.Bytes()
	h, err := safetensors.ReadHeader(context.Background(), w.Size(),
		func(_ context.Context, off int64, p []byte) error {
			_, err := bytes.NewReader(data).ReadAt(p, off)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	if h.Size%8 != 0 || h.Metadata["format"] != "pt" || len(h.Tensors) != len(specs) {
		t.Errorf("header is %+v", h)
	}
	var got []float32
	for _, s := range specs {
		x, ok := h.Lookup(s.Name)
		if !ok || !slices.Equal(x.Shape, s.Shape) {
			t.Fatalf("tensor %q is %+v", s.Name, x)
		}
		part := make([]float32, x.Elements())
		if err := safetensors.Decode(x.DType, part, data[x.Start:x.End]); err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !slices.Equal(got, values) {
		t.Error("values differ")
	}
	if _, ok := h.Lookup("nothing"); ok {
		t.Error("found a tensor that is not there")
	}
}

// I13: what a hostile or broken header gets.
func TestI13_BrokenHeadersAreRefused(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	one := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	for _, c := range []struct {
		json string
		data int
		want string
	}{
		{`{` + a + `}`, 8, ""},
		{`{` + a + `,"__metadata__":{"k":"v"}}  `, 8, ""},
		{`{"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},` + a + `}`, 8, ""},
		{`{}`, 0, ""},
		{`{` + a + `}`, 7, "end at byte"},
		{`{` + a + `}`, 9, "end at byte"},
		{`{` + a + `,` + a + `}`, 8, "twice"},
		{`{` + a + `,"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}`, 8, "twice"},
		{`{` + a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8, "hole or an overlap"},
		{`{` + a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`, 16, "hole"},
		{one(`"F32"`, `[1]`, `[4,8]`), 8, "hole"},
		{one(`"F32"`, `[2]`, `[0,4]`), 4, "are not the 8 bytes"},
		{one(`"F32"`, `[1]`, `[4,0]`), 4, "are not the 4 bytes"},
		{one(`"F32"`, `[1]`, `[-4,0]`), 4, "are not the 4 bytes"},
		{one(`"F32"`, `[-1]`, `[0,4]`), 4, "negative"},
		{one(`"F32"`, `[4294967296,4294967296]`, `[0,0]`), 0, "too large"},
		{one(`"F32"`, `[9223372036854775807]`, `[0,0]`), 0, "too large"},
		{one(`"U8"`, `[0]`, `[9223372036854775807,9223372036854775807]`), 0, "are not"},
		{one(`"U8"`, `[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`, `[0,1]`), 1, "dimensions"},
		{one(`"Q4"`, `[1]`, `[0,1]`), 1, "unknown dtype"},
		{one(`null`, `[1]`, `[0,1]`), 1, "unknown dtype"},
		{one(`"U8"`, `[1.5]`, `[0,1]`), 1, `"shape"`},
		{one(`"U8"`, `[null]`, `[0,0]`), 0, "integers"},
		{one(`"U8"`, `null`, `[0,0]`), 0, "integers"},
		{one(`"U8"`, `[1]`, `[0,1,2]`), 1, "two data_offsets"},
		{`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}`, 0, "unknown field"},
		{`{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}`, 0, "twice"},
		{`{"a":3}`, 0, "want {"},
		{`{"__metadata__":{"k":1}}`, 0, "not a string"},
		{`{"__metadata__":{"k":null}}`, 0, "not a string"},
		{`{} {}`, 0, "after its end"},
		{` {}`, 0, "does not start"},
		{``, 0, "does not start"},
		{`[]`, 0, "does not start"},
		{`{"a`, 0, "EOF"},
		{"{\"\xff\":1}", 0, "UTF-8"},
	} {
		_, err := parse(file(c.json, c.data))
		if c.want == "" && err != nil || c.want != "" &&
			(err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %d bytes: error is %v, want %q", c.json, c.data, err, c.want)
		}
	}
}

// I13: the length field is checked before anything is allocated for it.
func TestI13_HeaderLengthIsChecked(t *testing.T) {
	ctx := context.Background()
	for _, n := range []uint64{safetensors.MaxHeader + 1, math.MaxUint64, 1 << 63, 93} {
		f := binary.LittleEndian.AppendUint64(nil, n)
		f = append(f, make([]byte, 84)...)
		if _, err := parse(f); err == nil {
			t.Errorf("length %d in a file of %d passed", n, len(f))
		}
	}
	for size := range 8 {
		if _, err := safetensors.ParseHeader(make([]byte, size), int64(size)); err == nil {
			t.Errorf("file of %d bytes passed", size)
		}
	}
	if _, err := safetensors.ParseHeader(file("{}", 0)[:9], 10); err == nil {
		t.Error("half a header passed")
	}
	fail := func(context.Context, int64, []byte) error { return io.ErrUnexpectedEOF }
	if _, err := safetensors.ReadHeader(ctx, 100, fail); err == nil {
		t.Error("failed read passed")
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, specs := range [][]safetensors.Spec{
		{{Name: "a", DType: "F32"}, {Name: "a", DType: "F32"}},
		{{Name: "__metadata__", DType: "F32"}},
		{{Name: "a", DType: "F31"}},
		{{Name: "a", DType: "F32", Shape: []int{-1}}},
		{{Name: "a", DType: "F32", Shape: []int{1 << 40, 1 << 40}}},
		{{Name: "a", DType: "U8", Shape: []int{1 << 62}}, {Name: "b", DType: "U8", Shape: []int{9}}},
	} {
		if _, _, err := safetensors.EncodeHeader(specs, nil); err == nil {
			t.Errorf("%v passed", specs)
		}
	}
	for _, specs := range [][]safetensors.Spec{
		{{Name: "a", DType: "F16"}},
		{{Name: "a", DType: "BF16"}, {Name: "b", DType: "F32"}},
		{{Name: "a", DType: "F32"}, {Name: "b", DType: "BF16"}},
	} {
		if _, err := safetensors.NewWriter(io.Discard, specs, nil); err == nil {
			t.Errorf("writer of %v passed", specs)
		}
	}
}

// Rounding to BF16: to nearest, ties to even, as the hardware does it.
func TestEncodeBF16(t *testing.T) {
	for _, c := range []struct {
		in   uint32
		want uint16
	}{
		{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
		{0x3f817fff, 0x3f81}, {0x80000000, 0x8000}, {0x00000001, 0x0000}, {0x00008001, 0x0001},
		{0x7f7fffff, 0x7f80}, {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1},
	} {
		got := safetensors.EncodeBF16(nil, []float32{math.Float32frombits(c.in)})
		if binary.LittleEndian.Uint16(got) != c.want {
			t.Errorf("%#08x is %x, want %#04x", c.in, got, c.want)
		}
	}
	var buf bytes.Buffer
	w, err := safetensors.NewWriter(&buf, []safetensors.Spec{{Name: "a", DType: "BF16",
		Shape: []int{3}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]float32{1, -2, 3.140625}); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	h, err := parse(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got [3]float32
	err = safetensors.Decode("BF16", got[:], buf.Bytes()[h.Tensors[0].Start:])
	if err != nil || got != [3]float32{1, -2, 3.140625} {
		t.Errorf("read back %v (%v)", got, err)
	}
}

func TestDecodeHalves(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		d    safetensors.DType
		bits uint16
		want float32
	}{
		{safetensors.F16, 0x3c00, 1}, {safetensors.F16, 0xc000, -2},
		{safetensors.F16, 0x7bff, 65504}, {safetensors.F16, 0x7c00, inf},
		{safetensors.F16, 0xfc00, -inf}, {safetensors.F16, 0x0400, 0x1p-14},
		{safetensors.F16, 0x0001, 0x1p-24}, {safetensors.F16, 0x83ff, -0x3ffp-24},
		{safetensors.F16, 0x3555, 0x1.554p-2}, {safetensors.BF16, 0x3f80, 1},
		{safetensors.BF16, 0xc049, -3.140625}, {safetensors.BF16, 0x0001, 0x1p-133},
	} {
		var got [1]float32
		src := binary.LittleEndian.AppendUint16(nil, c.bits)
		if err := safetensors.Decode(c.d, got[:], src); err != nil || got[0] != c.want {
			t.Errorf("%s %#04x is %v (%v), want %v", c.d, c.bits, got[0], err, c.want)
		}
	}
	// Any number of elements, not only multiples of the stride.
	for n := range 11 {
		src, dst := make([]byte, 4*n), make([]float32, n)
		for i := range src {
			src[i] = byte(37*i + 11)
		}
		for d, bits := range map[safetensors.DType]func(i int) uint32{
			"BF16": func(i int) uint32 { return uint32(src[2*i])<<16 | uint32(src[2*i+1])<<24 },
			"F32":  func(i int) uint32 { return binary.LittleEndian.Uint32(src[4*i:]) },
		} {
			if err := safetensors.Decode(d, dst, src[:n*int(d.Size())]); err != nil {
				t.Fatal(err)
			}
			for i, x := range dst {
				if math.Float32bits(x) != bits(i) {
					t.Errorf("%s: element %d of %d is %#x, want %#x", d, i, n, math.Float32bits(x), bits(i))
				}
			}
		}
	}
	var one [1]float32
	negative := []byte{0, 0x80}
	if err := safetensors.Decode(safetensors.F16, one[:], negative); err != nil ||
		!math.Signbit(float64(one[0])) {
		t.Errorf("negative zero is %v (%v)", one[0], err)
	}
	if err := safetensors.Decode(safetensors.F16, one[:], []byte{1, 0x7e}); err != nil ||
		!math.IsNaN(float64(one[0])) {
		t.Errorf("NaN is %v (%v)", one[0], err)
	}
	if safetensors.Decode(safetensors.F32, one[:], []byte{1, 2}) == nil {
		t.Error("two bytes for a float32 passed")
	}
	if safetensors.Decode("I32", one[:], []byte{1, 2, 3, 4}) == nil {
		t.Error("I32 passed")
	}
}

// FuzzHeader: no input panics, and what is accepted covers the file exactly and encodes to a header
// that says the same.
func FuzzHeader(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"__metadata__":{"x":"y"}}`, 1))
	f.Add(file(`{"a":{"dtype":"F32","shape":[0,4294967296],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parse(data)
		if err != nil {
			return
		}
		at := h.Size
		var specs []safetensors.Spec
		for _, x := range h.Tensors {
			if x.Start != at || x.End < at || x.End > int64(len(data)) {
				t.Fatalf("tensor %+v does not start at %d of %d", x, at, len(data))
			}
			at = x.End
			specs = append(specs, safetensors.Spec{Name: x.Name, DType: x.DType, Shape: x.Shape})
		}
		head, size, err := safetensors.EncodeHeader(specs, h.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		again, err := safetensors.ParseHeader(head, size)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range again.Tensors {
			if y := h.Tensors[i]; x.Name != y.Name || x.Elements() != y.Elements() {
				t.Errorf("tensor %+v encodes to %+v", y, x)
			}
		}
	})
}
