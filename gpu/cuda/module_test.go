package cuda

import (
	"encoding/binary"
	"testing"
)

// elf is a header of 64 bytes whose two tables, of entries of the given sizes, end at the end.
func elf(n int) []byte {
	b := make([]byte, n)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint64(b[0x20:], 64)           // program headers
	binary.LittleEndian.PutUint16(b[0x36:], 56)           //
	binary.LittleEndian.PutUint16(b[0x38:], 2)            //
	binary.LittleEndian.PutUint64(b[0x28:], uint64(n-64)) // section headers
	binary.LittleEndian.PutUint16(b[0x3a:], 64)           //
	binary.LittleEndian.PutUint16(b[0x3c:], 1)            //
	return b
}

func TestWholeELF(t *testing.T) {
	b := elf(400)
	if err := wholeELF(b); err != nil {
		t.Errorf("a whole one: %v", err)
	}
	for n := range b {
		if wholeELF(b[:n]) == nil {
			t.Fatalf("cut to %d of %d bytes it passes", n, len(b))
		}
	}
	far := elf(400)
	binary.LittleEndian.PutUint64(far[0x28:], 1<<63)
	if wholeELF(far) == nil {
		t.Error("sections at 2^63 pass")
	}
}

func FuzzWholeELF(f *testing.F) {
	f.Add(elf(400))
	f.Add(elf(64 + 64)[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		if wholeELF(b) != nil {
			return
		}
		for _, at := range []int{0x20, 0x28} {
			if binary.LittleEndian.Uint64(b[at:]) > uint64(len(b)) {
				t.Fatal("a table beyond the end passes")
			}
		}
	})
}
