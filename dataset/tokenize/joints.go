package tokenize

import (
	"strings"
	"unicode/utf8"
)

// A word of Chinese is a whole clause, and hardly any clause comes twice. But most clauses can be
// cut into pieces that do, without changing an id:
//
// Whatever merges into one token is that token's bytes. So where the characters on the two sides
// of a place stand side by side in no token, no merge ever crosses that place; and merging what is
// on its two sides apart gives the same ids. A token may also begin or end inside a character: it
// crosses a place between characters that it holds only in part. These are kept as they are.

// joints knows the places between characters that some token crosses.
type joints struct {
	shift  uint
	pairs  []uint64               // bit map by hash; a clear bit: the pair stands in no token
	ragged [1 << 16 / 64]uint64   // bit map by the bytes before and after a place of sides
	sides  map[uint16][][2]string // what tokens with a part of a character have on the two sides
}

// newJoints collects the places between characters inside tokens, which are given as bytes.
func newJoints(tokens map[string]int32) *joints {
	j := &joints{sides: map[uint16][][2]string{}}
	pairs := map[[2]rune]struct{}{}
	for token := range tokens {
		for at := 1; at < len(token); at++ {
			if !utf8.RuneStart(token[at]) {
				continue
			}
			left, n := utf8.DecodeLastRuneInString(token[:at])
			right, m := utf8.DecodeRuneInString(token[at:])
			if isWhole(left, n) && isWhole(right, m) {
				pairs[[2]rune{left, right}] = struct{}{}
			} else {
				j.addRagged(token[:at], token[at:])
			}
		}
	}
	bits := uint(6)
	for 1<<bits < 16*len(pairs) { // at most one bit in 16 is set
		bits++
	}
	j.shift = 64 - bits
	j.pairs = make([]uint64, 1<<bits/64)
	for p := range pairs {
		h := j.hash(p[0], p[1])
		j.pairs[h/64] |= 1 << (h % 64)
	}
	return j
}

// isWhole tells a character, U+FFFD too, from what a decoder says of a part of one.
func isWhole(r rune, size int) bool { return r != utf8.RuneError || size > 1 }

func (j *joints) addRagged(left, right string) {
	key := edge(left[len(left)-1], right[0])
	j.ragged[key/64] |= 1 << (key % 64)
	j.sides[key] = append(j.sides[key], [2]string{left, right})
}

// edge names a place by the bytes before and after it.
func edge(before, after byte) uint16 { return uint16(before)<<8 | uint16(after) }

func (j *joints) hash(left, right rune) uint64 {
	return (uint64(left)<<32 | uint64(right)) * fibonacci >> j.shift
}

// joined is 1 if some token holds the characters side by side, or has the same hash; else 0.
func (j *joints) joined(left, right rune) uint64 {
	h := j.hash(left, right)
	return j.pairs[h/64] >> (h % 64) & 1
}

// frayed is 1 if a token may cross the place at in s with a part of a character.
func (j *joints) frayed(s string, at int) uint64 {
	key := edge(s[at-1], s[at])
	return j.ragged[key/64] >> (key % 64) & 1
}

// torn says that some token crosses the place at with a part of the characters on its sides.
func (j *joints) torn(s string, at int) bool {
	return j.frayed(s, at) != 0 && j.crossed(s, at)
}

// crossed looks for a token that fits around the place, all of it.
func (j *joints) crossed(s string, at int) bool {
	for _, side := range j.sides[edge(s[at-1], s[at])] {
		if strings.HasSuffix(s[:at], side[0]) && strings.HasPrefix(s[at:], side[1]) {
			return true
		}
	}
	return false
}
