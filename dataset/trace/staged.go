package trace

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/banyan-train/banyan/dataset"
)

// staged is what was consumed of a staged source.
type staged struct {
	array *dataset.Array
	batch uint64                     // B
	given map[dataset.Slot]uint64    // sequences that a slot had
	seen  map[uint64]map[uint64]bool // by epoch: the sequences that were read; nil: all
	most  uint64                     // places of the endless series passed over, the farthest lane's
}

// openStaged proves that each staged source, as it was made, is its documents end to end: each
// token once in a pass, no document left before its end.
func (a *auditor) openStaged(ctx context.Context) error {
	for i, m := range a.cfg.Corpus.GetSources() {
		if !m.GetStaged() {
			continue
		}
		array, err := a.cfg.OpenStaged(ctx, m)
		if err != nil {
			return err
		}
		if err := a.proveArray(ctx, i, array); err != nil {
			return fmt.Errorf("staged source %q: %w", m.GetName(), err)
		}
		a.staged[i] = &staged{array: array, batch: uint64(a.cfg.GlobalBatch),
			given: map[dataset.Slot]uint64{}, seen: map[uint64]map[uint64]bool{}}
	}
	return nil
}

func (a *auditor) proveArray(ctx context.Context, source int, array *dataset.Array) error {
	var l *lane
	key := laneKey{source: source}
	for number := range array.Sequences() {
		if array.Begins(number) {
			if err := a.ends(key, l); err != nil {
				return err
			}
			l = &lane{free: true}
		}
		kept, err := array.Read(ctx, number)
		if err != nil {
			return err
		}
		s := &dataset.Sequence{Source: source, Tokens: kept.Tokens, Spans: kept.Spans}
		if err := a.goOn(l, s); err != nil {
			return fmt.Errorf("sequence %d: %w", number, err)
		}
		l.eos = kept.Tokens[len(kept.Tokens)-1]
	}
	return a.ends(key, l)
}

// ends proves that nothing is left of the documents of a series.
func (a *auditor) ends(key laneKey, l *lane) error {
	if l == nil {
		return nil
	}
	if eos, _ := a.cfg.Tokenizer.EOS(); l.documents == nil && l.eos != eos {
		return fmt.Errorf("the last document, at %s, is left before its end",
			a.place(key.source, l.last))
	}
	return a.settle(key, l, math.MaxUint64)
}

// next proves that a slot's next sequence is the one whose turn it is, and that it was not read in
// this epoch before.
func (st *staged) next(ctx context.Context, s *dataset.Sequence) error {
	n := uint64(s.Slot) + st.given[s.Slot]*st.batch
	st.given[s.Slot]++
	st.most = max(st.most, n+1)
	number, epoch := st.array.At(n), n/st.array.Sequences()
	kept, err := st.array.Read(ctx, number)
	if err != nil {
		return err
	}
	if !slices.Equal(kept.Spans, s.Spans) || !slices.Equal(kept.Tokens, s.Tokens[:len(kept.Tokens)]) {
		return fmt.Errorf("it is not sequence %d of the staged source, whose turn it is", number)
	}
	seen, begun := st.seen[epoch]
	if !begun {
		seen = map[uint64]bool{}
	}
	if seen == nil || seen[number] {
		return fmt.Errorf("sequence %d is consumed twice in epoch %d", number, epoch)
	}
	if seen[number] = true; uint64(len(seen)) == st.array.Sequences() {
		seen = nil // all of them; none may follow
	}
	st.seen[epoch] = seen
	return nil
}

func (st *staged) epochs() float64 {
	return float64(st.most) / float64(st.array.Sequences()) * float64(st.array.Passes)
}
