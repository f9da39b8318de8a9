package tokenize

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// naive merges a word by the definition alone: of all pairs that merge the lowest rank, the
// leftmost of equals, again and again.
func naive(m *model, word string) []int32 {
	if id, ok := m.words[word]; ok {
		return []int32{id}
	}
	var ids []int32
	for i := range len(word) {
		ids = append(ids, m.first[word[i]])
	}
	for {
		best, at := merge.None, -1
		for i := range len(ids) - 1 {
			if r := m.pairs.Get(ids[i], ids[i+1]); r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, int32(uint32(best)))
	}
}

// randomModel has the merges of random pairs: tokens that begin or end inside a character, and, if
// shuffled, merges out of order, as no trainer writes them.
func randomModel(t *testing.T, rng *rand.Rand, texts []string, shuffled, ignore bool) *model {
	t.Helper()
	f := &modelJSON{Vocab: map[string]int64{}, IgnoreMerges: ignore}
	var spelled [256]string
	for b := range 256 {
		spelled[b] = ByteToken(byte(b))
		f.Vocab[spelled[b]] = int64(b)
	}
	for range 60 { // as a trainer does, but the pair is any one
		text := texts[rng.IntN(len(texts))]
		var parts []string
		for i := range len(text) {
			parts = append(parts, spelled[text[i]])
		}
		for _, pair := range f.Merges {
			for i := 0; i+1 < len(parts); i++ {
				if parts[i] == pair[0] && parts[i+1] == pair[1] {
					parts = slices.Replace(parts, i, i+2, pair[0]+pair[1])
				}
			}
		}
		if len(parts) < 2 {
			continue
		}
		i := rng.IntN(len(parts) - 1)
		if whole := parts[i] + parts[i+1]; f.Vocab[whole] == 0 {
			f.Vocab[whole] = int64(len(f.Vocab))
			f.Merges = append(f.Merges, [2]string{parts[i], parts[i+1]})
		}
	}
	if shuffled {
		rng.Shuffle(len(f.Merges), func(i, j int) {
			f.Merges[i], f.Merges[j] = f.Merges[j], f.Merges[i]
		})
	}
	for _, r := range "中丏" { // a token that no merge makes
		var token string
		for _, b := range []byte(string(r)) {
			token += spelled[b]
		}
		if rng.IntN(3) == 0 && f.Vocab[token] == 0 {
			f.Vocab[token] = int64(len(f.Vocab))
		}
	}
	m, err := newModel(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Cutting words, taking whole characters and remembering pieces must change no id, whatever the
// model.
func TestPiecesEqualDefinition(t *testing.T) {
	chars := []rune("中文字丏é\u0301пр a1𠮷")
	ordered, torn := 0, 0
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 7))
		texts := make([]string, 40)
		for i := range texts {
			for range 1 + rng.IntN(12) {
				texts[i] += string(chars[rng.IntN(3+rng.IntN(len(chars)-2))])
			}
		}
		m := randomModel(t, rng, texts, seed%3 == 2, seed%2 == 1)
		if m.chars.ordered {
			ordered++
		}
		torn += len(m.joints.sides)
		b := &bpe{model: m, classes: classes(), splitters: []splitter{splitWhole},
			tokenTable: tokenTable{raw: newMatcher(nil), normalized: newMatcher(nil)}}
		for range 2 { // the second time from the cache
			for _, text := range append(texts, strings.Join(texts, "")) {
				if got, want := b.Encode(nil, text), naive(m, text); !slices.Equal(got, want) {
					t.Fatalf("seed %d: %q is %v, by the definition %v", seed, text, got, want)
				}
			}
		}
	}
	if ordered < 20 || ordered > 110 || torn == 0 {
		t.Errorf("%d of 120 models are in order, %d ragged places: the test says little", ordered, torn)
	}
}

// A batch that is full must go on where it was, inside a word too. With ignore_merges the last
// piece of a word may have other ids than the same as a word.
func TestBatches(t *testing.T) {
	f := &modelJSON{Vocab: map[string]int64{}, IgnoreMerges: true}
	for b := range 256 {
		f.Vocab[ByteToken(byte(b))] = int64(b)
	}
	f.Vocab[ByteToken(0xE4)+ByteToken(0xB8)+ByteToken(0xAD)] = 256 // 中, which no merge makes
	m, err := newModel(f)
	if err != nil {
		t.Fatal(err)
	}
	b := &bpe{model: m, classes: classes(), splitters: []splitter{splitLlama3},
		tokenTable: tokenTable{raw: newMatcher(nil), normalized: newMatcher(nil)}}
	for n := batch - 5; n < batch+5; n++ {
		for _, word := range []string{"中", "丏中", "丏中丏", "，夜里下起了小雨中"} {
			text := strings.Repeat("a!", n/2) + "b"[:n%2] + word + strings.Repeat(" "+word, n)
			var want []int32
			for w := range Words(patternL3, text) {
				want = append(want, naive(m, w)...)
			}
			if got := b.Encode(nil, text); !slices.Equal(got, want) {
				t.Errorf("%d pieces, then %q: differs from its words", n, word)
			}
		}
	}
}

// A word must not be taken for a longer one that begins with it and has its place in the cache.
func TestLongSlotTellsWordsApart(t *testing.T) {
	c := newWordCache()
	word := strings.Repeat("w", 20)
	at, _ := c.longSlot(word, 20)
	for i := range 1 << 20 {
		longer := word + fmt.Sprintf("%08d", i)
		e, _ := c.longSlot(longer, uint8(len(longer)))
		if e != at {
			continue
		}
		e.set(longer, uint8(len(longer)), []int32{1})
		if _, hit := c.longSlot(word, 20); hit {
			t.Errorf("%q is taken for %q", word, longer)
		}
		if _, hit := c.longSlot(longer, uint8(len(longer))); !hit {
			t.Errorf("%q is not found", longer)
		}
		return
	}
	t.Error("no two words share a place")
}

func TestASCIILetters(t *testing.T) {
	for b := range 256 {
		want := 0
		if c := byte(b) | 0x20; 'a' <= c && c <= 'z' {
			want = 8
		}
		if got := letters8(each(byte(b))); got != want {
			t.Errorf("eight of 0x%02X: %d letters", b, got)
		}
		for at := range 9 {
			s := strings.Repeat("z", at) + fmt.Sprintf("%c", 0) + "A"
			if got := asciiLetters(s, 0); got != at {
				t.Errorf("%q: letters end at %d", s, got)
			}
		}
		for _, neighbour := range []string{"\xff", "\x00", "Z", "[", "`", "{", "@"} {
			s := string([]byte{byte(b)}) + neighbour + "aaaaaa"
			want := 0
			for want < 2 && 'a' <= s[want]|0x20 && s[want]|0x20 <= 'z' {
				want++
			}
			if want == 2 {
				want = 8
			}
			if got := asciiLetters(s, 0); got != want {
				t.Errorf("%q: letters end at %d, want %d", s, got, want)
			}
		}
	}
}
