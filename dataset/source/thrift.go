package source

import "encoding/binary"

// Kinds of values in Thrift's compact protocol, which parquet's metadata are written in.
const (
	thriftTrue, thriftFalse, thriftByte          = 1, 2, 3
	thriftI16, thriftI32, thriftI64, thriftF64   = 4, 5, 6, 7
	thriftBytes, thriftList, thriftSet           = 8, 9, 10
	thriftStruct, thriftMaxDepth, thriftElements = 12, 32, 1 << 20
)

// thrift walks over a struct without keeping it. The parquet library makes every list and string as
// long as the file says it is, before it reads one of its elements: so this is asked first whether
// they can be there.
type thrift struct {
	b     []byte
	i     int
	left  int // elements of lists that may still come
	short bool
	// visit, if set, gets each integer by the path of its field numbers, such as 5, 1.
	visit func(path []int, value int64)
	path  []int
}

// newThrift walks over b. It stops with short set when b ends inside the struct.
func newThrift(b []byte) *thrift { return &thrift{b: b, left: thriftElements} }

// structure walks over one struct, and answers whether it is whole and sound.
func (t *thrift) structure() bool {
	if len(t.path) > thriftMaxDepth {
		return false
	}
	id := int64(0)
	for {
		head, ok := t.next()
		if !ok {
			return false
		}
		if head == 0 {
			return true
		}
		if id += int64(head >> 4); head>>4 == 0 {
			if id, ok = t.zigzag(); !ok {
				return false
			}
		}
		t.path = append(t.path, int(int16(id)))
		if !t.value(head & 15) {
			return false
		}
		t.path = t.path[:len(t.path)-1]
	}
}

func (t *thrift) value(kind byte) bool {
	switch kind {
	case thriftTrue, thriftFalse:
		return true
	case thriftByte:
		return t.skip(1)
	case thriftI16, thriftI32, thriftI64:
		v, ok := t.zigzag()
		if ok && t.visit != nil {
			t.visit(t.path, v)
		}
		return ok
	case thriftF64:
		return t.skip(8)
	case thriftBytes:
		n, ok := t.uvarint()
		return ok && t.skip(n)
	case thriftList, thriftSet:
		return t.list()
	case thriftStruct:
		return t.structure()
	}
	return false // maps: parquet has none
}

func (t *thrift) list() bool {
	head, ok := t.next()
	n := uint64(head >> 4)
	if ok && n == 15 {
		n, ok = t.uvarint()
	}
	if !ok || n > uint64(t.left) {
		return false
	}
	t.left -= int(n)
	t.path = append(t.path, 0)
	for range n {
		kind := head & 15
		if kind == thriftTrue || kind == thriftFalse {
			kind = thriftByte // a boolean in a list is a byte
		}
		if !t.value(kind) {
			return false
		}
	}
	t.path = t.path[:len(t.path)-1]
	return true
}

func (t *thrift) next() (byte, bool) {
	if t.i >= len(t.b) {
		t.short = true
		return 0, false
	}
	t.i++
	return t.b[t.i-1], true
}

func (t *thrift) skip(n uint64) bool {
	if n > uint64(len(t.b)-t.i) {
		t.short = true
		return false
	}
	t.i += int(n)
	return true
}

func (t *thrift) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(t.b[t.i:])
	if n <= 0 {
		t.short = n == 0
		return 0, false
	}
	t.i += n
	return v, true
}

func (t *thrift) zigzag() (int64, bool) {
	u, ok := t.uvarint()
	return int64(u>>1) ^ -int64(u&1), ok
}
