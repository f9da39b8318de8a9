package source

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// rounds of the Feistel network. Four make a pseudorandom permutation of a good round function;
// two more pay for a cheap one.
const rounds = 6

// Permutation is a keyed permutation of 0..n-1 that takes no memory: a Feistel network over the
// smallest even number of bits that holds n, walked until it falls inside (cycle walking; less
// than four steps on average).
type Permutation struct {
	n    uint64
	half int // bits of one half; Invariant: n <= 2^(2*half)
	keys [rounds]uint64
}

// NewPermutation returns the order of n blocks of a source in one epoch.
func NewPermutation(n, seed uint64, name string, epoch uint64) Permutation {
	key := []byte("banyan block order v1\x00")
	key = binary.LittleEndian.AppendUint64(key, seed)
	key = binary.LittleEndian.AppendUint64(key, epoch)
	key = append(key, name...)
	p := Permutation{n: n, half: (bits.Len64(max(n, 2)-1) + 1) / 2}
	first, second := sha256.Sum256(key), sha256.Sum256(append(key, 1))
	material := append(first[:], second[:]...)
	for i := range p.keys {
		p.keys[i] = binary.LittleEndian.Uint64(material[8*i:])
	}
	return p
}

// At returns the block at a position. Invariant: position < n.
func (p Permutation) At(position uint64) uint64 {
	block := p.encrypt(position)
	for block >= p.n {
		block = p.encrypt(block)
	}
	return block
}

func (p Permutation) encrypt(x uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	left, right := x>>p.half, x&mask
	for _, key := range p.keys {
		left, right = right, left^(scramble(right^key)&mask)
	}
	return left<<p.half | right
}

// scramble mixes all bits of x into the low ones: two rounds of xor-shift and multiplication by
// odd constants (the digits of the golden ratio and of pi).
func scramble(x uint64) uint64 {
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0x243f6a8885a308d3
	return x ^ x>>32
}
