package train

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// restore fills the shards from the checkpoint the assignment names, or from the base model, and
// returns the data cursor (nil: the beginning).
func (t *trainer) restore(ctx context.Context) (cursor *dataset.Cursor, err error) {
	if ref := t.assignment.GetRestore(); ref != nil {
		cursor, err = t.restoreCheckpoint(ctx, ref.GetUri(), ref.GetDigest())
	} else {
		err = t.restoreBase(ctx)
	}
	if err != nil {
		return nil, err
	}
	return cursor, t.shards.round(t.backend)
}

// restoreBase reads the own shard of every parameter from the Hugging Face folder, whose files
// must be those pinned at launch. Moments start at zero.
func (t *trainer) restoreBase(ctx context.Context) error {
	if err := hf.Verify(ctx, t.opener, t.resolved.GetBaseFiles()); err != nil {
		return fmt.Errorf("load base model: %w", err)
	}
	folder, err := hf.Load(ctx, t.opener, t.spec.GetBase().GetModel())
	if err != nil {
		return fmt.Errorf("load base model: %w", err)
	}
	weights, err := t.grown(ctx, folder)
	if err != nil {
		return fmt.Errorf("load base model: %w", err)
	}
	for i, u := range t.units {
		host := t.backend.Host(t.shards.param[i])
		lo, hi := t.shards.lo[i], t.shards.hi[i]
		for _, p := range u.Params {
			from, to := max(lo, p.Offset), min(hi, p.Offset+elements(p.Shape))
			if from >= to {
				continue
			}
			err := weights.Read(ctx, p.Name, from-p.Offset, to-p.Offset, host[from-lo:to-lo])
			if err != nil {
				return fmt.Errorf("load base model: %w", err)
			}
		}
	}
	return nil
}

// weightReader is a model folder, or one whose vocabulary has grown.
type weightReader interface {
	Read(ctx context.Context, name string, lo, hi int, dst []float32) error
}

// grown shows the base with the rows of base.extend_vocab.
func (t *trainer) grown(ctx context.Context, folder *hf.Folder) (weightReader, error) {
	e := t.spec.GetBase().GetExtendVocab()
	if e == nil {
		return folder, nil
	}
	pin := t.resolved.GetTokenizer()
	base, err := tokenize.LoadPinned(ctx, t.opener, pin.GetBase())
	if err != nil {
		return nil, err
	}
	tokenizer, err := tokenize.LoadPinned(ctx, t.opener, pin)
	if err != nil {
		return nil, err
	}
	fresh, err := tokenize.NewTokens(base, tokenizer)
	if err != nil {
		return nil, err
	}
	return folder.Grow(hf.Growth{First: base.VocabSize(), New: fresh, PadTo: int(e.GetPadTo()),
		Input: initOf(e.GetInit()), Output: initOf(e.GetInitOutput()),
		Seed: t.spec.GetTrain().GetSeed()})
}

// initOf is an enum's word, which is the engine's.
func initOf(i pb.VocabInit) hf.Init { return hf.Init(strings.ToLower(i.String())) }

// restoreCheckpoint reads the own shards at this world's boundaries, whatever world wrote them.
// Every byte is verified by the checkpoint reader before it comes here (I4).
func (t *trainer) restoreCheckpoint(ctx context.Context, uri, digest string,
) (*dataset.Cursor, error) {
	r, err := checkpoint.Open(ctx, t.opener, uri, digest)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	m := r.Manifest()
	if err := t.checkUnits(m.Units); err != nil {
		return nil, fmt.Errorf("restore %s: %w", uri, err)
	}
	for i := range t.units {
		for _, kind := range kinds {
			host := t.backend.Host(t.shards.of(kind)[i])
			if err := r.Read(ctx, i, kind, t.shards.lo[i], t.shards.hi[i], host); err != nil {
				return nil, fmt.Errorf("restore: %w", err)
			}
		}
	}
	var cursors []*dataset.Cursor
	for _, s := range m.Shards {
		c := &dataset.Cursor{}
		if err := json.Unmarshal(s.Cursor, c); err != nil {
			return nil, fmt.Errorf("restore %s: cursor of rank %d: %w", uri, s.Rank, err)
		}
		cursors = append(cursors, c)
		if s.Rank == 0 {
			if err := json.Unmarshal(s.Progress, &t.progress); err != nil {
				return nil, fmt.Errorf("restore %s: progress: %w", uri, err)
			}
		}
	}
	if t.layout.rank == 0 {
		if t.curve, err = r.Curve(ctx); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	t.done = m.Step
	if t.progress.Applied+t.progress.Skipped == 0 {
		t.progress.Applied = m.Step
	}
	return dataset.MergeCursors(cursors)
}
