package tokenize

import "hash/maphash"

const (
	cacheBits = 15 // 32,768 words, 2 MiB
	cacheWord = 22 // longest word kept, bytes
	cacheIDs  = 10 // longest result kept
)

// wordCache remembers the ids of short words: direct mapped, the newest word wins its place. It
// is bounded, and it can only repeat what encodeWord said.
type wordCache struct {
	seed    maphash.Seed
	entries []cacheEntry
}

// cacheEntry fills one cache line.
type cacheEntry struct {
	size  uint8 // bytes of the word; 0: empty
	count uint8
	word  [cacheWord]byte
	ids   [cacheIDs]int32
}

func newWordCache() wordCache {
	return wordCache{seed: maphash.MakeSeed(), entries: make([]cacheEntry, 1<<cacheBits)}
}

// slot is the place of a word of at most cacheWord bytes; hit says that the word is there.
func (c *wordCache) slot(word string) (e *cacheEntry, hit bool) {
	e = &c.entries[maphash.String(c.seed, word)>>(64-cacheBits)]
	return e, string(e.word[:e.size]) == word
}

func (e *cacheEntry) set(word string, ids []int32) {
	if len(ids) > cacheIDs {
		return
	}
	e.size, e.count = uint8(len(word)), uint8(len(ids))
	copy(e.word[:], word)
	copy(e.ids[:], ids)
}
