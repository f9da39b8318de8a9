package tokenize

import "github.com/banyan-train/banyan/dataset/tokenize/merge"

// mergeScratch holds the buffers of one call.
type mergeScratch struct {
	ids   [merge.Most]int32
	ranks merge.Ranks
	list  merge.List
}

// encodeWord appends the ids of one word of at least one byte, or of a piece of a word.
func (m *model) encodeWord(dst []int32, word string, whole bool, sc *mergeScratch) []int32 {
	if whole && m.words != nil {
		if id, ok := m.words[word]; ok {
			return append(dst, id)
		}
	}
	if len(word) > merge.Most {
		return m.mergeLong(dst, word, sc)
	}
	return m.mergeShort(dst, word, sc)
}

func (m *model) mergeShort(dst []int32, word string, sc *mergeScratch) []int32 {
	n, ok := m.maybeChars(word, sc.ids[:])
	if !ok {
		n = len(word)
		for i := range n {
			sc.ids[i] = m.first[word[i]]
		}
	}
	n, _ = m.pairs.Short(sc.ids[:n], &sc.ranks)
	return append(dst, sc.ids[:n]...)
}

func (m *model) mergeLong(dst []int32, word string, sc *mergeScratch) []int32 {
	sc.list.Reset()
	for i := range len(word) {
		sc.list.Add(m.first[word[i]], i)
	}
	m.pairs.Long(&sc.list, nil)
	for id := range sc.list.All() {
		dst = append(dst, id)
	}
	sc.list.Reset() // gives back the memory of a very long word
	return dst
}
