package pieces

import (
	"math"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// resetScore is where the peer takes the sum so far off all sums, so that float32 stays exact
// enough.
const resetScore = 100_000

// step is the best way to a place between two characters.
type step struct {
	score float32
	from  int32 // the place where its last piece begins; -1: not reached
	id    int32 // of that piece
	exact float64
	gap   float64 // to the second best piece that ends here
}

// start readies the steps of a segment of n characters.
func (sc *Scratch) start(n int, sum float32) []step {
	for cap(sc.steps) <= n {
		sc.steps = append(sc.steps[:cap(sc.steps)], step{})
	}
	steps := sc.steps[:n+1]
	for i := range steps {
		steps[i] = step{from: -1}
	}
	steps[0].score = sum
	return steps
}

// search finds the best path of a segment, just as the peer does in float32 with sum before it,
// leaves it in sc.path, and returns the sum after it.
func (u *Unigram) search(syms []int32, sum float32, sc *Scratch) float32 {
	steps := sc.start(len(syms), sum)
	reached := 0
	for i := range syms {
		here := steps[i].score
		if here < -resetScore || here > resetScore {
			for k := i; k <= reached; k++ {
				if k == i || steps[k].from >= 0 {
					steps[k].score -= here
				}
			}
			here = 0
		}
		single := false
		for k, at := i+1, u.roots[syms[i]]; ; k++ {
			if id := u.ids[at]; id >= 0 {
				reached = max(reached, k)
				steps[k].offer(u.scores[at]+here, i, id)
				single = single || k == i+1
			}
			if k == len(syms) {
				break
			}
			next := u.edges.Get(at, syms[k])
			if next == merge.None {
				break
			}
			at = int32(next)
		}
		if !single {
			reached = max(reached, i+1)
			steps[i+1].offer(u.unknown+here, i, u.fallback.Unknown)
		}
	}
	sc.walk(steps)
	return steps[len(syms)].score
}

func (s *step) offer(score float32, from int, id int32) {
	if s.from < 0 || score > s.score {
		s.score, s.from, s.id = score, int32(from), id
	}
}

// walk leaves the ids of the best path in sc.path.
func (sc *Scratch) walk(steps []step) {
	sc.path = sc.path[:0]
	for at := len(steps) - 1; at > 0; at = int(steps[at].from) {
		sc.path = append(sc.path, steps[at].id)
	}
	for i, k := 0, len(sc.path)-1; i < k; i, k = i+1, k-1 {
		sc.path[i], sc.path[k] = sc.path[k], sc.path[i]
	}
}

// relative finds the best path of a short segment in float64 from zero, leaves it in sc.path, and
// returns its margin: the least by which a piece on it beats another that ends at the same place.
func (u *Unigram) relative(syms []int32, sc *Scratch) float32 {
	steps := sc.start(len(syms), 0)
	for i := range syms {
		here := steps[i].exact
		single := false
		for k, at := i+1, u.roots[syms[i]]; ; k++ {
			if id := u.ids[at]; id >= 0 {
				steps[k].compare(here+float64(u.scores[at]), i, id)
				single = single || k == i+1
			}
			if k == len(syms) {
				break
			}
			next := u.edges.Get(at, syms[k])
			if next == merge.None {
				break
			}
			at = int32(next)
		}
		if !single {
			steps[i+1].compare(here+float64(u.unknown), i, u.fallback.Unknown)
		}
	}
	sc.walk(steps)
	margin := math.Inf(1)
	for at := len(syms); at > 0; at = int(steps[at].from) {
		margin = min(margin, steps[at].gap)
	}
	return float32(margin)
}

func (s *step) compare(score float64, from int, id int32) {
	switch {
	case s.from < 0:
		s.exact, s.from, s.id, s.gap = score, int32(from), id, math.Inf(1)
	case score > s.exact:
		s.gap = score - s.exact
		s.exact, s.from, s.id = score, int32(from), id
	default:
		s.gap = min(s.gap, s.exact-score)
	}
}

// safe answers whether the search, with sum before it, would take the remembered path. A sum of n
// scores in float32 is off by less than n roundings, each at most 2^-24 of the largest sum on the
// way; two sums are compared, and the best sum at a place is off by no more than those it is the
// best of. Near the reset it is not asked.
func (u *Unigram) safe(e *entry, sum float32) bool {
	n := float64(e.chars)
	most := math.Abs(float64(sum)) + n*u.largest
	return most < resetScore && float64(e.margin) > (n+1)*most*0x1p-22
}

// appendBytes appends the ids of a path, and for unknown characters those of their bytes.
func (u *Unigram) appendBytes(dst []int32, word []byte, path []int32) []int32 {
	for _, id := range path {
		if id != u.fallback.Unknown {
			dst = append(dst, id)
			word = word[u.sizes[id]:]
			continue
		}
		_, size := u.chars.at(word, 0)
		for _, b := range word[:size] {
			dst = append(dst, u.fallback.Bytes[b])
		}
		word = word[size:]
	}
	return dst
}
