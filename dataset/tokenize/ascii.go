package tokenize

import "math/bits"

// load64 reads 8 bytes of s, the first lowest; the compiler makes one load of it.
func load64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// each repeats a byte eight times.
func each(b byte) uint64 { return uint64(b) * 0x0101010101010101 }

// letters8 counts the ASCII letters that x, eight bytes of text, begins with. Bytes over 0x7F are
// masked away first, so that no sum carries into its neighbour; they are no letters.
func letters8(x uint64) int {
	low := (x | each(0x20)) & each(0x7F)
	notBelow := low + each(0x80-'a')
	above := low + each(0x7F-'z')
	other := ^(notBelow &^ above &^ x) & each(0x80)
	return bits.TrailingZeros64(other) >> 3 // 64 zeros: all eight
}

// asciiLetters returns the end of the run of ASCII letters at s[i:].
func asciiLetters(s string, i int) int {
	for i+8 <= len(s) {
		n := letters8(load64(s, i))
		i += n
		if n < 8 {
			return i
		}
	}
	for i < len(s) && 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z' {
		i++
	}
	return i
}
