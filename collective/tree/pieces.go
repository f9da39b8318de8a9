package tree

import (
	"fmt"
	"sync"
)

// Pieces is a Sum of a vector of Go memory that comes in pieces: each piece is added as soon as it
// is there, whatever has come of the others. It is safe for concurrent use; the order of the calls
// about one leaf is the caller's business, as with Sum.
//
// The partials of the rank itself are put whole, those of others piece by piece. The result is
// where Kept says, so one of the first is put as Kept.
type Pieces struct {
	size, each int
	pieces     []piece
}

type piece struct {
	mu  sync.Mutex
	sum Sum[[]float32]
}

// NewPieces makes a sum over leaves of a vector of size elements, in pieces of each elements, the
// last one shorter. vectors makes the memory and the arithmetic for pieces of n elements; it is
// used by several goroutines.
func NewPieces(leaves, size, each int, vectors func(n int) Vectors[[]float32]) *Pieces {
	p := &Pieces{size: size, each: each, pieces: make([]piece, (size+each-1)/each)}
	of := newShape(leaves)
	for i := range p.pieces {
		p.pieces[i].sum = newSum(of, vectors(min(each, size-i*each)))
	}
	return p
}

// Partial is where a partial belongs: the index-th of count of a leaf, or, with count 0, the sum of
// a subtree.
type Partial struct {
	Leaf, Index, Count int
	Subtree            Range
}

// Put adds a whole partial, piece by piece.
func (p *Pieces) Put(of Partial, v []float32, claim Claim) error {
	if len(v) != p.size {
		return fmt.Errorf("put partial: %w: %d elements of %d", ErrOrder, len(v), p.size)
	}
	for at := 0; at < p.size; at += p.each {
		if err := p.PutPiece(of, at, v[at:min(at+p.each, p.size)], claim); err != nil {
			return err
		}
	}
	return nil
}

// PutPiece adds the piece of a partial that begins at element at, a multiple of the pieces' length.
func (p *Pieces) PutPiece(of Partial, at int, v []float32, claim Claim) error {
	if at < 0 || at%p.each != 0 || at >= p.size || len(v) != min(p.each, p.size-at) {
		return fmt.Errorf("put partial: %w: %d elements at %d are no piece: %d elements, by %d",
			ErrOrder, len(v), at, p.size, p.each)
	}
	x := &p.pieces[at/p.each]
	x.mu.Lock()
	defer x.mu.Unlock()
	if of.Count == 0 {
		return x.sum.PutSubtree(of.Subtree, v, claim)
	}
	return x.sum.Put(of.Leaf, of.Index, of.Count, v, claim)
}

// Missing is the lowest leaf that is not complete in some piece; ok is false if there is none.
func (p *Pieces) Missing() (leaf int, ok bool) {
	for i := range p.pieces {
		x := &p.pieces[i]
		x.mu.Lock()
		v, missing := x.sum.Missing()
		x.mu.Unlock()
		if missing && (!ok || v < leaf) {
			leaf, ok = v, true
		}
	}
	return leaf, ok
}

// Reset forgets every partial and gives back every piece.
func (p *Pieces) Reset() {
	for i := range p.pieces {
		x := &p.pieces[i]
		x.mu.Lock()
		x.sum.Reset()
		x.mu.Unlock()
	}
}
