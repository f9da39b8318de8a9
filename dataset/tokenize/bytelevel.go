package tokenize

// A byte-level vocabulary writes each byte as one printable character: the bytes that Latin-1
// prints stand for themselves, the other 68 take U+0100 and up in ascending order (the GPT-2
// convention). This file is that bijection.

var byteOfChar = func() map[rune]byte {
	table := make(map[rune]byte, 256)
	hidden := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !printsItself(b) {
			r = hidden
			hidden++
		}
		table[r] = byte(b)
	}
	return table
}()

func printsItself(b int) bool {
	return '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xFF && b != 0xAD
}

// bytesOfToken turns a vocabulary entry into the bytes it stands for. An entry with a character
// outside the bijection (a special token, as a rule) stands for its own UTF-8 and is not ok: no
// text can merge into it.
func bytesOfToken(token string) (raw []byte, ok bool) {
	raw = make([]byte, 0, len(token))
	for _, r := range token {
		b, known := byteOfChar[r]
		if !known {
			return []byte(token), false
		}
		raw = append(raw, b)
	}
	return raw, true
}
