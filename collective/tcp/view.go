package tcp

import (
	"strings"
	"unicode"
	"unsafe"
)

// bytesOf is the memory of v, 4 bytes an element, little-endian on the hosts that Listen accepts.
func bytesOf(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// floatsOf is the elements in b.
func floatsOf(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// printable is text from a peer made safe for a log line: at most maxReason bytes, no controls.
func printable(b []byte) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), maxReason)]), "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
