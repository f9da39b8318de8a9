package tokenize

import (
	"fmt"
	"strings"
)

// maxID bounds ids, and with them the tables; the largest public vocabulary has 262,144 entries.
const maxID = 1<<24 - 1

// model is the byte-pair model: which two tokens merge into which, and in what order.
type model struct {
	first  [256]int32 // id of each single byte
	pairs  pairTable
	joints *joints
	chars  charTable

	partOfWord uint8 // partOfWord if whole words are special, else 0

	words map[string]int32 // ignore_merges only: a word found here is one token
	size  int              // largest id + 1
	text  [][]byte         // bytes by id; nil: no such id
}

// newModel checks the vocabulary and the merges and builds the tables.
func newModel(f *modelJSON) (*model, error) {
	m := &model{}
	for token, id := range f.Vocab {
		if id < 0 || id >= maxID {
			return nil, fmt.Errorf("model.vocab[%q]: id %d is outside [0, %d): %w",
				token, id, maxID, ErrInvalid)
		}
		m.size = max(m.size, int(id)+1)
	}
	if m.size > 16*len(f.Vocab) { // ids far beyond the count: a hostile file, not a vocabulary
		return nil, fmt.Errorf("model.vocab: %d entries, but ids up to %d: %w",
			len(f.Vocab), m.size-1, ErrInvalid)
	}
	m.text = make([][]byte, m.size)
	reachable := make(map[string]int32, len(f.Vocab))
	for token, id := range f.Vocab {
		raw, ok := bytesOfToken(token)
		if m.text[id] != nil {
			return nil, fmt.Errorf("model.vocab: id %d has two tokens, one is %q: %w",
				id, token, ErrInvalid)
		}
		m.text[id] = raw
		if ok {
			reachable[string(raw)] = int32(id)
		}
	}
	for b := range m.first {
		id, ok := reachable[string([]byte{byte(b)})]
		if !ok {
			return nil, fmt.Errorf("model.vocab lacks the byte 0x%02X: "+
				"a vocabulary without all 256 bytes is %w", b, ErrUnsupported)
		}
		m.first[b] = id
	}
	m.joints = newJoints(reachable)
	if f.IgnoreMerges {
		m.words, m.partOfWord = reachable, partOfWord
	}
	merges, err := m.addMerges(f)
	if err != nil {
		return nil, err
	}
	m.addChars(reachable, merges)
	return m, nil
}

// addMerges fills the pair table and returns the pairs. A pair that stands twice takes its last
// rank, as in the peer.
func (m *model) addMerges(f *modelJSON) ([][2]int32, error) {
	if len(f.Merges) >= maxID {
		return nil, fmt.Errorf("model.merges: %d merges, at most %d: %w", len(f.Merges), maxID-1,
			ErrInvalid)
	}
	m.pairs = newPairTable(len(f.Merges))
	merges := make([][2]int32, len(f.Merges))
	for rank, pair := range f.Merges {
		left, ok := f.Vocab[pair[0]]
		right, ok2 := f.Vocab[pair[1]]
		merged, ok3 := f.Vocab[pair[0]+pair[1]]
		for i, known := range []bool{ok, ok2, ok3} {
			if !known {
				token := []string{pair[0], pair[1], pair[0] + pair[1]}[i]
				return nil, fmt.Errorf("model.merges[%d] %q: %q is not in model.vocab: %w",
					rank, strings.Join(pair[:], " "), token, ErrInvalid)
			}
		}
		merges[rank] = [2]int32{int32(left), int32(right)}
		m.pairs.put(int32(left), int32(right), uint32(rank), int32(merged))
	}
	return merges, nil
}

// noMerge is the value of a pair that does not merge; it is above every (rank, id).
const noMerge = ^uint64(0)

// pairTable maps a pair of ids to rank<<32 | merged id: open addressing. Most pairs that are asked
// for do not merge; a bit map, small enough for the L2 cache, tells nearly all of them apart before
// the table, which is not, is touched.
type pairTable struct {
	shift  uint
	slots  []pairSlot
	filter []uint64 // 8 bits a slot; a clear bit: no pair of that hash
}

// pairSlot is left, right, rank and merged id of a pair, each of 24 bits: ids are below maxID, and
// a merge for each rank makes a token, but for few. All ones: empty.
type pairSlot [3]uint32

var emptySlot = pairSlot{^uint32(0), ^uint32(0), ^uint32(0)}

const mask24 = 1<<24 - 1

// newPairTable makes a table that is at most five eighths full.
func newPairTable(entries int) pairTable {
	bits := uint(4)
	for 5<<bits < 8*entries {
		bits++
	}
	t := pairTable{
		shift:  64 - bits,
		slots:  make([]pairSlot, 1<<bits),
		filter: make([]uint64, 1<<bits/8),
	}
	for i := range t.slots {
		t.slots[i] = emptySlot
	}
	return t
}

// hashPair packs a pair and hashes it. The high bits are the good ones.
func hashPair(left, right int32) (key, hash uint64) {
	key = uint64(uint32(left))<<24 | uint64(uint32(right))
	return key, (key ^ key>>21) * fibonacci
}

func (s *pairSlot) key() uint64 { return uint64(s[0])<<16 | uint64(s[1]>>16) }

func (s *pairSlot) value() uint64 {
	return uint64(s[1]&0xFFFF)<<40 | uint64(s[2]>>24)<<32 | uint64(s[2]&mask24)
}

func (t *pairTable) put(left, right int32, rank uint32, merged int32) {
	key, hash := hashPair(left, right)
	bit := hash >> (t.shift - 3)
	t.filter[bit/64] |= 1 << (bit % 64)
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; *s == emptySlot || s.key() == key {
			*s = pairSlot{uint32(key >> 16), uint32(key)<<16 | rank>>8, rank<<24 | uint32(merged)}
			return
		}
	}
}

// get returns rank<<32 | merged id, or noMerge.
func (t *pairTable) get(left, right int32) uint64 {
	key, hash := hashPair(left, right)
	if bit := hash >> (t.shift - 3); t.filter[bit/64]>>(bit%64)&1 == 0 {
		return noMerge
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.key() == key {
			return s.value()
		}
		if *s == emptySlot {
			return noMerge
		}
	}
}
