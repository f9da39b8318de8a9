package tokenize

import (
	"sync"
	"unicode/utf8"
)

var _ Tokenizer = (*bpe)(nil)

// bpe is a byte-level BPE tokenizer. All fields but free are fixed after Parse.
type bpe struct {
	model       *model
	classes     *classTable
	splitters   []splitter // each cuts the words of the one before
	prefixSpace bool
	nfc         bool
	raw         *matcher // added tokens looked for in the text as it is
	normalized  *matcher // added tokens looked for after the normalizer

	size     int      // largest id + 1
	text     [][]byte // bytes by id; nil: no such id
	special  []bool   // by id
	bos, eos int32    // -1: none

	mu   sync.Mutex
	free []*scratch // guarded by mu
}

// scratch is what one call of Encode needs for itself.
type scratch struct {
	merge mergeScratch
	cache wordCache
}

func (b *bpe) take() *scratch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		sc := b.free[n-1]
		b.free = b.free[:n-1]
		return sc
	}
	return &scratch{cache: newWordCache()}
}

func (b *bpe) give(sc *scratch) {
	b.mu.Lock()
	b.free = append(b.free, sc)
	b.mu.Unlock()
}

// Encode implements Tokenizer.
func (b *bpe) Encode(dst []int32, text string) []int32 {
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	sc := b.take()
	defer b.give(sc)
	token := func(id int32) { dst = append(dst, id) }
	plain := func(s string) { dst = b.encodePlain(dst, s, sc) }
	b.raw.split(text, func(s string) {
		if b.nfc {
			s = nfc(s)
		}
		b.normalized.split(s, plain, token)
	}, token)
	return dst
}

// encodePlain encodes text that holds no added token.
func (b *bpe) encodePlain(dst []int32, s string, sc *scratch) []int32 {
	if b.prefixSpace && s[0] != ' ' {
		s = " " + s
	}
	return b.encodeStage(dst, s, 0, sc)
}

// encodeStage cuts s by splitter number stage and hands the words to the next.
func (b *bpe) encodeStage(dst []int32, s string, stage int, sc *scratch) []int32 {
	split := b.splitters[stage]
	if stage == len(b.splitters)-1 {
		for i := 0; i < len(s); {
			end := split(b.classes, s, i)
			dst = b.encodeWord(dst, s, i, end, sc)
			i = end
		}
		return dst
	}
	for i := 0; i < len(s); {
		end := split(b.classes, s, i)
		dst = b.encodeStage(dst, s[i:end], stage+1, sc)
		i = end
	}
	return dst
}

// encodeWord encodes the word s[i:end].
func (b *bpe) encodeWord(dst []int32, s string, i, end int, sc *scratch) []int32 {
	if end-i <= shortBytes {
		key := keyOf(s, i, end)
		if (key.lo|key.hi)&each(0x80) == 0 {
			return b.encodeShort(dst, s[i:end], key, 0, sc)
		}
	}
	return b.encodePieces(dst, s, i, end, sc)
}

// partOfWord marks the size of a piece in the caches. With ignore_merges a whole word may have
// other ids than the same bytes inside a word.
const partOfWord = 0x80

// encodePieces cuts a word where no merge can cross, and encodes the pieces. Between ASCII
// characters there is no such place, as a rule.
func (b *bpe) encodePieces(dst []int32, s string, i, end int, sc *scratch) []int32 {
	start, part := i, uint8(0)
	var left rune
	for i < end {
		if s[i] < utf8.RuneSelf {
			left = rune(s[i])
			i++
			continue
		}
		right, n := decode(s, i)
		if i > start && b.model.joints.apart(s, i, left, right) {
			part = partOfWord
			dst = b.encodePiece(dst, s, start, i, left, part, sc)
			start = i
		}
		left = right
		i += n
	}
	return b.encodePiece(dst, s, start, end, left, part, sc)
}

// encodePiece encodes s[i:end], which ends in the character last.
func (b *bpe) encodePiece(dst []int32, s string, i, end int, last rune, part uint8, sc *scratch,
) []int32 {
	if end-i <= utf8.UTFMax && end-i == utf8.RuneLen(last) {
		if id := b.model.chars.id(last); id != noID {
			return append(dst, id)
		}
	}
	if end-i <= shortBytes {
		return b.encodeShort(dst, s[i:end], keyOf(s, i, end), part, sc)
	}
	word := s[i:end]
	if end-i > longBytes {
		return b.model.encodeWord(dst, word, part == 0, &sc.merge)
	}
	e, hit := sc.cache.longSlot(word, uint8(len(word))|part)
	if hit {
		return append(dst, e.ids[:e.count]...)
	}
	was := len(dst)
	dst = b.model.encodeWord(dst, word, part == 0, &sc.merge)
	e.set(word, uint8(len(word))|part, dst[was:])
	return dst
}

// encodeShort encodes a word or a piece of at most shortBytes bytes.
func (b *bpe) encodeShort(dst []int32, word string, key wordKey, part uint8, sc *scratch) []int32 {
	size := uint8(len(word)) | part
	set := sc.cache.set(key, size)
	e := &set[0]
	if !e.is(key, size) {
		if e = &set[1]; !e.is(key, size) {
			was := len(dst)
			dst = b.model.encodeWord(dst, word, part == 0, &sc.merge)
			set.put(key, size, dst[was:])
			return dst
		}
		set[0], set[1] = set[1], set[0]
		e = &set[0]
	}
	was := len(dst) // all the places, then the right length: no loop to mispredict
	return append(dst, e.ids[0], e.ids[1], e.ids[2])[:was+int(e.count)]
}

// Decode implements Tokenizer.
func (b *bpe) Decode(ids []int32) []byte {
	size := 0
	for _, id := range ids {
		if b.known(id) {
			size += len(b.text[id])
		}
	}
	out := make([]byte, 0, size)
	for _, id := range ids {
		if b.known(id) {
			out = append(out, b.text[id]...)
		}
	}
	return out
}

// TokenBytes implements Tokenizer.
func (b *bpe) TokenBytes(id int32) int {
	if !b.known(id) || b.special[id] {
		return 0
	}
	return len(b.text[id])
}

func (b *bpe) known(id int32) bool { return id >= 0 && int(id) < b.size }

// VocabSize implements Tokenizer.
func (b *bpe) VocabSize() int { return b.size }

// BOS implements Tokenizer.
func (b *bpe) BOS() (int32, bool) { return b.bos, b.bos >= 0 }

// EOS implements Tokenizer.
func (b *bpe) EOS() (int32, bool) { return b.eos, b.eos >= 0 }
