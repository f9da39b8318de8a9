package tokenize

import "unicode/utf8"

// Text goes through two loops. The first finds where pieces start: words, and parts of words that
// no merge connects. The second looks the pieces up. Apart, each is short and has few branches that
// depend on the text, so the processor looks up many pieces at once while it waits for memory.

// batch is how many pieces go from one loop to the other at a time.
const batch = 256

// inside marks the start of a piece that does not start a word: starts are offset<<1 | inside.
const inside = 1

// partOfWord marks the size of a piece in the caches, where that matters: with ignore_merges a
// whole word may have other ids than the same bytes inside a word.
const partOfWord = 0x80

// encodeWords cuts s into words, and these into pieces, and encodes them.
func (b *bpe) encodeWords(dst []int32, s string, split splitter, sc *scratch) []int32 {
	n := 0
	for i := 0; i < len(s); {
		end := split(b.classes, s, i)
		if n == batch {
			dst, n = b.flush(dst, s, n, sc)
		}
		sc.starts[n] = i << 1
		n++
		// ASCII characters are rarely apart, and a word of both is cut where it pays.
		if (s[i]|s[end-1])&0x80 != 0 {
			dst, n = b.cut(dst, s, i, end, n, sc)
		}
		i = end
	}
	sc.starts[n] = len(s) << 1
	return b.lookUp(dst, s, sc.starts[:n+1], sc)
}

// flush encodes all pieces whose end is known, that is all but the last.
func (b *bpe) flush(dst []int32, s string, n int, sc *scratch) ([]int32, int) {
	dst = b.lookUp(dst, s, sc.starts[:n], sc)
	sc.starts[0] = sc.starts[n-1]
	return dst, 1
}

// cut adds the places in the word s[i:end] that no merge crosses. Each place is written down; it
// stays if n moves on, which takes no branch.
func (b *bpe) cut(dst []int32, s string, i, end, n int, sc *scratch) ([]int32, int) {
	j := b.model.joints
	left := rune(s[i])
	if s[i] < utf8.RuneSelf {
		i++
	} else {
		var size int
		left, size = decode(s, i)
		i += size
	}
	for i < end {
		if s[i] < utf8.RuneSelf {
			left = rune(s[i])
			i++
			continue
		}
		if n == batch {
			dst, n = b.flush(dst, s, n, sc)
		}
		right, size := rune(0), 3
		if s[i]&0xF0 == 0xE0 {
			right = decode3(s, i)
		} else {
			right, size = decode(s, i)
		}
		sc.starts[n] = i<<1 | inside
		joined := j.joined(left, right)
		if j.frayed(s, i) > joined && j.crossed(s, i) {
			joined = 1
		}
		n += int(joined ^ 1)
		left = right
		i += size
	}
	return dst, n
}

// lookUp encodes pieces of s: each ends where the next starts, the last start is an end.
func (b *bpe) lookUp(dst []int32, s string, starts []int, sc *scratch) []int32 {
	for k := range len(starts) - 1 {
		at, end := starts[k]>>1, starts[k+1]>>1
		part := uint8(starts[k]|starts[k+1]) << 7 & b.model.partOfWord
		if end-at > shortBytes {
			dst = b.encodeLong(dst, s[at:end], part, sc)
			continue
		}
		var key wordKey
		if at+shortBytes <= len(s) {
			mask := &keyMasks[end-at]
			key = wordKey{load64(s, at) & mask.lo, load64(s, at+8) & mask.hi}
		} else {
			key = keyAtEnd(s[at:end])
		}
		size := uint8(end-at) | part
		set := sc.cache.set(key, size)
		e := &set[0]
		if !e.is(key, size) {
			if e = &set[1]; !e.is(key, size) {
				dst = b.encodeNew(dst, s[at:end], key, set, part, sc)
				continue
			}
			set[0], set[1] = set[1], set[0]
			e = &set[0]
		}
		was := len(dst) // all the places, then the right length: no loop to mispredict
		dst = append(dst, e.ids[0], e.ids[1], e.ids[2])[:was+int(e.count)]
	}
	return dst
}

// encodeNew encodes a piece of at most shortBytes bytes that its set does not know.
func (b *bpe) encodeNew(dst []int32, word string, key wordKey, set *shortSet, part uint8,
	sc *scratch,
) []int32 {
	was := len(dst)
	dst = b.model.encodeWord(dst, word, part == 0, &sc.merge)
	set.put(key, uint8(len(word))|part, dst[was:])
	return dst
}

// encodeLong encodes a longer piece.
func (b *bpe) encodeLong(dst []int32, word string, part uint8, sc *scratch) []int32 {
	if len(word) > longBytes {
		return b.model.encodeWord(dst, word, part == 0, &sc.merge)
	}
	size := uint8(len(word)) | part
	e, hit := sc.cache.longSlot(word, size)
	if hit {
		return append(dst, e.ids[:e.count]...)
	}
	was := len(dst)
	dst = b.model.encodeWord(dst, word, part == 0, &sc.merge)
	e.set(word, size, dst[was:])
	return dst
}
