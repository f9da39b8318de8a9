package pieces

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

const letters = "ab 中文"

// randomTexts are distinct strings of few letters, the letters among them, but for one of them.
func randomTexts(r *rand.Rand, n int) []string {
	seen := map[string]bool{}
	var list []string
	for _, c := range letters[:len(letters)-3*r.IntN(2)] {
		seen[string(c)] = true
		list = append(list, string(c))
	}
	for len(list) < n {
		if s := randomText(r, 2+r.IntN(4)); !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}

func randomText(r *rand.Rand, chars int) string {
	all := []rune(letters)
	s := make([]rune, chars)
	for i := range s {
		s[i] = all[r.IntN(len(all))]
	}
	return string(s)
}

// plainMerge is the definition: the whole text, one merge after the other.
func plainMerge(c *MergerConfig, text string) []int32 {
	index := map[string]int{}
	for i, s := range c.Symbols {
		index[s.Text] = i
	}
	rules := map[[2]string]Rule{}
	for _, rule := range c.Rules {
		rules[[2]string{c.Symbols[rule.Left].Text, c.Symbols[rule.Right].Text}] = rule
	}
	var parts []string
	for _, r := range text {
		parts = append(parts, string(r))
	}
	for {
		best := -1
		for i := range len(parts) - 1 {
			rule, ok := rules[[2]string{parts[i], parts[i+1]}]
			if ok && (best < 0 || rule.Rank < rules[[2]string{parts[best], parts[best+1]}].Rank) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		parts = slices.Replace(parts, best, best+2, parts[best]+parts[best+1])
	}
	var ids []int32
	for _, p := range parts {
		if i, ok := index[p]; ok && c.Symbols[i].ID >= 0 {
			ids = append(ids, c.Symbols[i].ID)
		} else if n := len(ids); n == 0 || ids[n-1] != c.Fallback.Unknown {
			ids = append(ids, c.Fallback.Unknown)
		}
	}
	return ids
}

// Segments, the memory of them, short and long ways of merging: all give the definition's ids.
func TestMergerIsTheDefinition(t *testing.T) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := &MergerConfig{Fallback: Fallback{Unknown: 1000, Fuse: true}}
		index := map[string]int32{}
		for i, s := range randomTexts(r, 6+r.IntN(30)) {
			index[s] = int32(i)
			c.Symbols = append(c.Symbols, Symbol{Text: s, ID: int32(i)})
		}
		for _, char := range letters { // one may be no piece, only part of some
			if _, ok := index[string(char)]; !ok {
				index[string(char)] = int32(len(c.Symbols))
				c.Symbols = append(c.Symbols, Symbol{Text: string(char), ID: -1})
			}
		}
		for s, whole := range index {
			for at := range s {
				left, ok := index[s[:at]]
				right, ok2 := index[s[at:]]
				if ok && ok2 {
					c.Rules = append(c.Rules, Rule{left, right, whole, uint32(whole / 3)}) // some equal
				}
			}
		}
		m, sc := NewMerger(c), NewScratch()
		for i := range 200 {
			text := randomText(r, 1+r.IntN(12))
			if i%100 == 0 {
				text = randomText(r, 300)
			}
			if got, want := m.Append(nil, []byte(text), sc), plainMerge(c, text); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q\n got %v\nwant %v", seed, text, got, want)
			}
		}
	}
}

// plainSearch is the peer's search over the whole text, in float32.
func plainSearch(list []Piece, unknown float32, unk int32, text string) []int32 {
	type place struct {
		score float32
		from  int
		id    int32
	}
	places := make([]place, len(text)+1)
	for i := range places {
		places[i].from = -1
	}
	reached := 0
	for at, r := range text {
		here := places[at].score
		if here < -resetScore || here > resetScore {
			for k := at; k <= reached; k++ {
				if k == at || places[k].from >= 0 {
					places[k].score -= here
				}
			}
			here = 0
		}
		offer := func(end int, score float32, id int32) {
			reached = max(reached, end)
			if p := &places[end]; p.from < 0 || score+here > p.score {
				*p = place{score + here, at, id}
			}
		}
		known := false
		for n := 1; n <= 20 && at+n <= len(text); n++ { // no piece is longer
			for _, p := range list {
				if p.Text == text[at:at+n] {
					offer(at+n, p.Score, p.ID)
					known = known || p.Text == string(r)
				}
			}
		}
		if !known {
			offer(at+len(string(r)), unknown, unk)
		}
	}
	var ids []int32
	for at := len(text); at > 0; at = places[at].from {
		if n := len(ids); places[at].id != unk || n == 0 || ids[n-1] != unk {
			ids = append(ids, places[at].id)
		}
	}
	slices.Reverse(ids)
	return ids
}

// A segment remembered from one place is used at another only where rounding cannot matter. Scores
// near the reset and close to ties make it matter.
func TestUnigramIsTheSearch(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		scale := []float32{1, 100, 30_000}[seed%3]
		var list []Piece
		for i, s := range randomTexts(r, 6+r.IntN(30)) {
			score := -scale * (5 + r.Float32())
			if r.IntN(2) == 0 { // what makes equal sums up to rounding
				score = -scale * float32(len([]rune(s))) * 1.1
			}
			list = append(list, Piece{Text: s, ID: int32(i), Score: score})
		}
		u := NewUnigram(list, -scale*20, Fallback{Unknown: 1000, Fuse: true})
		sc := NewScratch()
		for i := range 100 {
			text := randomText(r, 1+r.IntN(12))
			if i%10 == 0 {
				text = randomText(r, 500)
			}
			got := u.Append(nil, []byte(text), sc)
			want := plainSearch(list, -scale*20, 1000, text)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q\n got %v\nwant %v", seed, text, got, want)
			}
		}
	}
}

// Unknown characters become their bytes, in segments too.
func TestUnknownBytes(t *testing.T) {
	var bytes [256]int32
	for i := range bytes {
		bytes[i] = 1000 + int32(i)
	}
	fallback := Fallback{Bytes: &bytes, Unknown: 2000}
	list := []Piece{{"a", 0, -1}, {"ab", 1, -1}, {"bc", 2, -1}, {"c中", 3, -50}}
	u := NewUnigram(list, -10, fallback)
	for text, want := range map[string]string{
		"ab": "[1]", "abc": "[0 2]", "b": "[1098]", "bb": "[1098 1098]",
		"abb中": "[1 1098 1228 1184 1173]", "c中": "[1099 1228 1184 1173]",
	} {
		if got := fmt.Sprint(u.Append(nil, []byte(text), NewScratch())); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
