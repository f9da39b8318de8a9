package main

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

// countWords counts the words of the pre-tokenizer.
func countWords(texts []string) map[string]int {
	counts := map[string]int{}
	for _, text := range texts {
		for word := range tokenize.Words(tokenize.Llama3, text) {
			counts[word]++
		}
	}
	return counts
}

// pair is two neighbouring symbols.
type pair [2]int

// word is a distinct word as symbols, and how often it occurs.
type word struct {
	symbols []int
	count   int
}

// trainer learns merges: the most frequent pair first; of equals the one whose symbols are lowest.
// Symbols are 0..255 for bytes and 256+i for merge i.
type trainer struct {
	words  []word
	counts map[pair]int
	where  map[pair]map[int]bool // words that held the pair at some time
	queue  queue
}

func newTrainer(counts map[string]int) *trainer {
	t := &trainer{counts: map[pair]int{}, where: map[pair]map[int]bool{}}
	for text, count := range counts {
		symbols := make([]int, len(text))
		for i := range len(text) {
			symbols[i] = int(text[i])
		}
		t.words = append(t.words, word{symbols, count})
	}
	slices.SortFunc(t.words, func(a, b word) int { return slices.Compare(a.symbols, b.symbols) })
	for i := range t.words {
		t.add(i, 1)
	}
	for p, n := range t.counts {
		t.queue = append(t.queue, candidate{p, n})
	}
	heap.Init(&t.queue)
	return t
}

// add counts the pairs of word i, or with sign -1 takes them back.
func (t *trainer) add(i, sign int) {
	w := t.words[i]
	for k := range len(w.symbols) - 1 {
		p := pair{w.symbols[k], w.symbols[k+1]}
		t.counts[p] += sign * w.count
		if t.where[p] == nil {
			t.where[p] = map[int]bool{}
		}
		t.where[p][i] = true
	}
}

// train returns up to n merges in order.
func (t *trainer) train(n int) []pair {
	var merges []pair
	for len(merges) < n && len(t.queue) > 0 {
		top := heap.Pop(&t.queue).(candidate)
		if now := t.counts[top.pair]; now != top.count { // stale: queue it as it is now
			if now > 0 {
				heap.Push(&t.queue, candidate{top.pair, now})
			}
			continue
		}
		if top.count < 2 {
			break
		}
		t.merge(top.pair, 256+len(merges))
		merges = append(merges, top.pair)
	}
	return merges
}

// merge replaces the pair by a new symbol in every word that holds it.
func (t *trainer) merge(p pair, symbol int) {
	places := t.where[p]
	delete(t.where, p)
	changed := map[pair]bool{}
	for i := range places { // any order: counts are sums
		t.add(i, -1)
		w := &t.words[i]
		out := w.symbols[:0]
		for k := 0; k < len(w.symbols); k++ {
			if k+1 < len(w.symbols) && (pair{w.symbols[k], w.symbols[k+1]}) == p {
				out = append(out, symbol)
				k++
				continue
			}
			out = append(out, w.symbols[k])
		}
		w.symbols = out
		t.add(i, 1)
		for k := range len(out) - 1 {
			if out[k] == symbol || out[k+1] == symbol {
				changed[pair{out[k], out[k+1]}] = true
			}
		}
	}
	delete(t.counts, p)
	for q := range changed { // any order: the queue's order is total
		heap.Push(&t.queue, candidate{q, t.counts[q]})
	}
}

// candidate is a pair with its count when it was queued.
type candidate struct {
	pair  pair
	count int
}

// queue is a heap: the highest count first, then the lowest pair.
type queue []candidate

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].count != q[j].count {
		return q[i].count > q[j].count
	}
	return cmp.Or(cmp.Compare(q[i].pair[0], q[j].pair[0]), cmp.Compare(q[i].pair[1], q[j].pair[1])) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(candidate)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
