package train

import (
	"context"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/worker/kernel"
)

// usesOfRound lists the units a round takes, in order: forward 0..n-2, then backward n-1..0. The
// backward of the embedding needs no parameters.
func (t *trainer) usesOfRound() []int {
	var uses []int
	last := len(t.units) - 1
	for u := range last {
		uses = append(uses, t.model.Needs(u)...)
	}
	for u := last; u > 0; u-- {
		uses = append(uses, t.model.Needs(u)...)
	}
	return uses
}

// step runs one optimizer step and returns what the ranks agreed on.
func (t *trainer) step(ctx context.Context, batch *dataset.Batch) (*outcome, error) {
	began := time.Now()
	var uses []int
	for range t.layout.rounds {
		uses = append(uses, t.usesOfRound()...)
	}
	t.gather.begin(uses)
	t.reduce.begin()
	t.enter(batch.Step)
	stats := newStats(batch)
	for i := range t.layout.rounds {
		if err := t.round(ctx, i, batch, stats); err != nil {
			return nil, err
		}
	}
	if err := t.reduce.finish(ctx); err != nil {
		return nil, err
	}
	out, err := t.exchange(ctx, stats)
	if err != nil {
		return nil, err
	}
	if err := t.update(batch.Step, out); err != nil {
		return nil, err
	}
	out.took = time.Since(began)
	out.waited = t.gather.waited + t.reduce.waited
	return out, nil
}

// round pushes one micro-batch through the model. A rank with no micro-batch left still joins
// every collective.
func (t *trainer) round(ctx context.Context, round int, batch *dataset.Batch, stats *stats) error {
	mine := t.layout.rounds[round][t.layout.rank]
	if mine != nil {
		t.load(mine, batch)
	}
	last := len(t.units) - 1
	for u := range last {
		params, err := t.params(ctx, u)
		if err != nil {
			return err
		}
		if mine == nil {
			continue
		}
		if err := t.model.Forward(u, params); err != nil {
			return fmt.Errorf("forward unit %s: %w", t.units[u].Name, err)
		}
	}
	for u := last; u >= 0; u-- {
		if err := t.backward(ctx, u, round); err != nil {
			return err
		}
	}
	if mine != nil {
		stats.addLosses(mine, t.model.Losses(), t.model.Inputs().Targets, t.layout.seqLen)
	}
	return nil
}

func (t *trainer) params(ctx context.Context, unit int) ([]kernel.Tensor, error) {
	needs := t.model.Needs(unit)
	params, err := t.gather.take(ctx, needs)
	if err != nil {
		return nil, err
	}
	t.gather.prefetch(needs)
	return params, nil
}

// backward runs one unit's backward and passes on the gradient that is complete with it: its own,
// and never that of a lower unit it shares (the lower unit's own backward comes later).
func (t *trainer) backward(ctx context.Context, unit, round int) error {
	needs := t.model.Needs(unit)
	// The backward of the embedding reads no parameters: nothing is gathered for it.
	params := []kernel.Tensor{{Len: t.units[0].Size, DType: t.compute}}
	if unit > 0 {
		var err error
		if params, err = t.params(ctx, unit); err != nil {
			return err
		}
	}
	work, last := t.layout.rounds[round], round == len(t.layout.rounds)-1
	if work[t.layout.rank] != nil {
		grads := make([]kernel.Tensor, len(needs))
		for i, u := range needs {
			var err error
			if grads[i], err = t.reduce.gradient(ctx, u); err != nil {
				return err
			}
		}
		if err := t.model.Backward(unit, params, grads); err != nil {
			return fmt.Errorf("backward unit %s: %w", t.units[unit].Name, err)
		}
	}
	return t.reduce.done(unit, work, last)
}

// load copies a micro-batch's sequences into the model's inputs.
func (t *trainer) load(w *work, batch *dataset.Batch) {
	in := t.model.Inputs()
	first := w.firstSlot - t.layout.slots.Lo
	for i, seq := range batch.Sequences[first : first+w.microBatch] {
		at := i * t.layout.seqLen
		copy(in.Tokens[at:], seq.Tokens[:t.layout.seqLen])
		copy(in.Pos[at:], seq.Pos)
		copy(in.First[at:], seq.First)
		copy(in.Targets[at:], seq.Targets)
	}
}
