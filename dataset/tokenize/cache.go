package tokenize

import (
	"math/bits"
	"unsafe"
)

// wordCache remembers the ids of words. It is bounded, and it can only repeat what the merges said.
// Nearly all words are short and have few ids. Two such share a cache line, where the newer of the
// two comes first: a word that loses its place to one of equal hash keeps the second.
type wordCache struct {
	short []shortSet
	long  []longEntry // direct mapped
}

const (
	shortBits  = 15 // 65,536 words, 2 MiB
	shortBytes = 16
	shortIDs   = 3

	longBits  = 13 // 8,192 words, 512 KiB
	longBytes = 38
	longIDs   = 6
)

// wordKey is a word of at most shortBytes bytes, with zeros behind.
type wordKey struct{ lo, hi uint64 }

type shortEntry struct {
	key   wordKey
	ids   [shortIDs]int32
	size  uint8 // as keySize says; 0: empty
	count uint8
}

type shortSet [2]shortEntry

type longEntry struct {
	size  uint8
	count uint8
	word  [longBytes]byte
	ids   [longIDs]int32
}

// Entries divide cache lines.
var (
	_ [64 - unsafe.Sizeof(shortSet{})]struct{}
	_ [unsafe.Sizeof(longEntry{}) - 64]struct{}
)

// fibonacci is 2^64 divided by the golden ratio: a multiplier whose products have good high bits.
const fibonacci = 0x9E3779B97F4A7C15

// mixer is another odd number without a pattern, the first secret of wyhash.
const mixer = 0xA0761D6478BD642F

func newWordCache() wordCache {
	return wordCache{make([]shortSet, 1<<shortBits), make([]longEntry, 1<<longBits)}
}

// keyMasks keep the first n bytes of a key.
var keyMasks = func() (m [shortBytes + 1]wordKey) {
	for n := range m {
		m[n] = wordKey{1<<(8*min(n, 8)) - 1, 1<<(8*max(n-8, 0)) - 1}
	}
	return m
}()

// keyAtEnd is the key of a word with too little text behind it to read shortBytes at once.
func keyAtEnd(word string) wordKey {
	var padded [shortBytes]byte
	copy(padded[:], word)
	s := string(padded[:])
	return wordKey{load64(s, 0), load64(s, 8)}
}

// set is the place of a short word.
func (c *wordCache) set(key wordKey, size uint8) *shortSet {
	hi, lo := bits.Mul64(key.lo^fibonacci, key.hi^uint64(size)<<56^mixer)
	return &c.short[(hi^lo)>>(64-shortBits)]
}

func (e *shortEntry) is(key wordKey, size uint8) bool { return e.key == key && e.size == size }

// put makes a word the newer one of its set.
func (s *shortSet) put(key wordKey, size uint8, ids []int32) {
	if len(ids) <= shortIDs {
		s[1] = s[0]
		s[0] = shortEntry{key: key, size: size, count: uint8(len(ids))}
		copy(s[0].ids[:], ids)
	}
}

// longSlot is the place of a word of 8 to longBytes bytes.
func (c *wordCache) longSlot(word string, size uint8) (e *longEntry, hit bool) {
	hash := load64(word, len(word)-8)
	for i := 0; i+8 < len(word); i += 8 {
		hi, lo := bits.Mul64(hash^fibonacci, load64(word, i)^mixer)
		hash = hi ^ lo
	}
	e = &c.long[hash*fibonacci>>(64-longBits)]
	return e, e.size == size && string(e.word[:len(word)]) == word
}

func (e *longEntry) set(word string, size uint8, ids []int32) {
	if len(ids) <= longIDs {
		e.size, e.count = size, uint8(len(ids))
		copy(e.word[:], word)
		copy(e.ids[:], ids)
	}
}
