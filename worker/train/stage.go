package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/banyan-train/banyan/dataset"
)

// stagedPoll is how often a rank looks whether the others have staged their shares.
const stagedPoll = time.Second

// openStream opens the data of this rank's slots. Sources that are staged are made first where they
// are missing: each rank makes a share, and waits for those of the others.
func (t *trainer) openStream(ctx context.Context, cfg dataset.Config, at *dataset.Cursor,
) (*dataset.Stream, error) {
	stream, err := dataset.Open(ctx, cfg, at)
	if !errors.Is(err, dataset.ErrNotStaged) {
		return stream, err
	}
	began, said := time.Now(), time.Now()
	t.log.Info().Msg("staging sources that have too few blocks for their slots")
	err = dataset.Stage(ctx, cfg, t.layout.rank, t.layout.world,
		func(source string, documents uint64) {
			t.sink.Step(t.done) // this takes time, but is no stall
			if time.Since(said) > silence {
				said = time.Now()
				t.log.Info().Str("source", source).Uint64("documents", documents).Msg("staging")
			}
		})
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(stagedPoll)
	defer ticker.Stop()
	for {
		stream, err := dataset.Open(ctx, cfg, at)
		if !errors.Is(err, dataset.ErrNotStaged) {
			t.log.Info().Dur("took", time.Since(began)).Msg("staged")
			return stream, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the other ranks to stage: %w", context.Cause(ctx))
		}
	}
}
