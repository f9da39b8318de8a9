package trace

import (
	"context"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/dataset"
)

// ErrDiffers marks a step whose replay is not what the run recorded.
var ErrDiffers = errors.New("the replay differs from the run's record")

// Origin is the end of a step: where the data stood and the ledger's digest. The zero value is
// the start of a run.
type Origin struct {
	Cursor *dataset.Cursor
	Digest string
}

// replay makes the steps behind an origin up to step `to`, all slots, and shows each of them with
// the digest of the ledger after it.
func replay(ctx context.Context, cfg dataset.Config, from Origin, to uint64,
	visit func(b *dataset.Batch, digest string) error,
) error {
	cfg.Lo, cfg.Hi = 0, dataset.Slot(cfg.GlobalBatch)
	stream, err := dataset.Open(ctx, cfg, from.Cursor)
	if err != nil {
		return err
	}
	defer stream.Close()
	digests, digest := make([][32]byte, cfg.GlobalBatch), from.Digest
	for step := uint64(0); step < to; {
		b, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		step = b.Step
		for i := range b.Sequences {
			digests[i] = b.Sequences[i].Digest
		}
		digest = dataset.ChainDigest(digest, digests)
		if err := visit(b, digest); err != nil {
			return err
		}
	}
	return nil
}

func differs(step uint64, got, want string) error {
	return fmt.Errorf("step %d: %w: the ledger's digest is %.16s, recorded was %.16s; corpus, "+
		"tokenizer and program must be those of the run", step, ErrDiffers, got, want)
}
