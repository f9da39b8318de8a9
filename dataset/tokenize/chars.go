package tokenize

import (
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// A character of Chinese is three bytes, and merging them is most of the work on a piece that the
// cache does not know. Whole characters can be taken as they are, under two conditions:
//
//   - No token crosses a place between two characters of the piece with a part of either (that is
//     what joints.ragged knows). Then a merge across such a place takes whole characters, each of
//     them one token by then; and until it is taken, a character merges as if it were alone.
//   - The merges are in order: whatever a merge takes is made, alone, by merges of lower rank.
//     Then, while a character is not yet whole, the merges that will take it rank behind those
//     that it still needs, so starting with it whole brings none of them forward.
//
// Under both, the merges that cross places are the same ones, in the same order. Merges of trained
// tokenizers are in order; where any is not, characters are merged from their bytes.

// charTable gives the ids of characters of more than one byte that are, alone, one token.
type charTable struct {
	ordered bool           // the second condition holds
	index   [256]uint16    // pages by the high byte of a character up to U+FFFF
	pages   [][256]int32   // noID: not one token
	astral  map[rune]int32 // characters above
}

const noID = -1

// addChars fills the table of characters. It needs all else of the model.
func (m *model) addChars(reachable map[string]int32, merges [][2]int32) {
	c := &m.chars
	var none [256]int32
	for i := range none {
		none[i] = noID
	}
	c.pages, c.astral = append(c.pages, none), map[rune]int32{}
	var sc mergeScratch
	for token, id := range reachable {
		r, n := utf8.DecodeRuneInString(token)
		if n == 1 || n != len(token) || m.rankOf(id, &sc) == notAlone {
			continue
		}
		if r > 0xFFFF {
			c.astral[r] = id
			continue
		}
		if c.index[r>>8] == 0 {
			c.index[r>>8] = uint16(len(c.pages))
			c.pages = append(c.pages, none)
		}
		c.pages[c.index[r>>8]][r&0xFF] = id
	}
	c.ordered = m.inOrder(merges, &sc)
}

// inOrder checks the second condition for the merges of whole characters of more than one byte.
func (m *model) inOrder(merges [][2]int32, sc *mergeScratch) bool {
	ranks := map[int32]int64{}
	for rank, pair := range merges {
		if !isWide(m.text[pair[0]]) || !isWide(m.text[pair[1]]) {
			continue
		}
		for _, id := range pair {
			last, known := ranks[id]
			if !known {
				last = m.rankOf(id, sc)
				ranks[id] = last
			}
			if last >= int64(rank) {
				return false
			}
		}
	}
	return true
}

// isWide says that text is whole characters of more than one byte.
func isWide(text []byte) bool {
	for _, b := range text {
		if b < utf8.RuneSelf {
			return false
		}
	}
	return utf8.Valid(text)
}

// notAlone is above every rank.
const notAlone = 1 << 32

// rankOf is the rank of the last merge that makes a token from its bytes, -1 for a single byte; it
// is notAlone if the bytes, alone, do not become that token.
func (m *model) rankOf(id int32, sc *mergeScratch) int64 {
	text := string(m.text[id])
	if len(text) > merge.Most {
		return notAlone
	}
	ids := sc.ids[:len(text)]
	for i := range ids {
		ids[i] = m.first[text[i]]
	}
	n, last := m.pairs.Short(ids, &sc.ranks)
	if n != 1 || ids[0] != id {
		return notAlone
	}
	return last
}

// id is the token of a character, or noID.
func (c *charTable) id(r rune) int32 {
	if r > 0xFFFF {
		if id, ok := c.astral[r]; ok {
			return id
		}
		return noID
	}
	return c.pages[c.index[r>>8]][r&0xFF]
}

// maybeChars fills ids with the tokens of the characters of a piece, if it may be merged from them.
func (m *model) maybeChars(word string, ids []int32) (n int, ok bool) {
	if !m.chars.ordered {
		return 0, false
	}
	for i := 0; i < len(word); n++ {
		if word[i] < utf8.RuneSelf {
			return 0, false
		}
		if i > 0 && m.joints.torn(word, i) {
			return 0, false
		}
		r, size := decode(word, i)
		if ids[n] = m.chars.id(r); ids[n] == noID {
			return 0, false
		}
		i += size
	}
	return n, true
}
