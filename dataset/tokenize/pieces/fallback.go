package pieces

// Fallback says what becomes of a character that no piece covers.
type Fallback struct {
	Bytes *[256]int32 // an id for each of its bytes; nil: Unknown
	// Unknown is the id of unknown text, which no piece has; negative: the character is left out.
	Unknown int32
	Fuse    bool // unknown characters in a row are one
}

// append adds the ids of an unknown character to dst, whose ids from base on are of this text.
func (f *Fallback) append(dst []int32, base int, char []byte) []int32 {
	switch {
	case f.Bytes != nil:
		for _, b := range char {
			dst = append(dst, f.Bytes[b])
		}
	case f.Unknown >= 0 && !f.follows(dst, base):
		dst = append(dst, f.Unknown)
	}
	return dst
}

// follows answers whether an unknown character now is one with what stands at the end of dst.
func (f *Fallback) follows(dst []int32, base int) bool {
	return f.Fuse && len(dst) > base && dst[len(dst)-1] == f.Unknown
}

// appendIDs adds the ids of a segment.
func (f *Fallback) appendIDs(dst []int32, base int, ids []int32) []int32 {
	if len(ids) > 0 && ids[0] == f.Unknown && f.Bytes == nil && f.follows(dst, base) {
		ids = ids[1:]
	}
	return append(dst, ids...)
}
