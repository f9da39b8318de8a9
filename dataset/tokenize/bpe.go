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
	nfc         *nfcTable // nil: no normalizer
	tokenTable

	mu   sync.Mutex
	free []*scratch // guarded by mu
}

// scratch is what one call of Encode needs for itself.
type scratch struct {
	starts [batch + 1]int
	merge  mergeScratch
	cache  wordCache
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
	normal := b.nfc != nil && b.nfc.keeps(text)
	if !normal {
		if !utf8.ValidString(text) {
			text = replaceInvalid(text)
		}
		normal = b.nfc == nil
	}
	sc := b.take()
	defer b.give(sc)
	token := func(id int32) { dst = append(dst, id) }
	plain := func(s string) { dst = b.encodePlain(dst, s, sc) }
	b.raw.split(text, func(s string) {
		if !normal {
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
		return b.encodeWords(dst, s, split, sc)
	}
	for i := 0; i < len(s); {
		end := split(b.classes, s, i)
		dst = b.encodeStage(dst, s[i:end], stage+1, sc)
		i = end
	}
	return dst
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

// StartBytes implements Tokenizer. A text that begins with a space gets no other.
func (b *bpe) StartBytes() int {
	if b.prefixSpace {
		return 1
	}
	return 0
}
