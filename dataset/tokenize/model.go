package tokenize

import (
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
)

// maxID bounds ids, and with them the tables; the largest public vocabulary has 262,144 entries.
const maxID = merge.Limit

// model is the byte-pair model: which two tokens merge into which, and in what order.
type model struct {
	first  [256]int32 // id of each single byte
	pairs  merge.Table
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
	m.pairs = merge.NewTable(len(f.Merges))
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
		m.pairs.Put(int32(left), int32(right), uint32(rank), int32(merged))
	}
	return merges, nil
}
