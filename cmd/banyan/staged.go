package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/banyan-train/banyan/dataset"
)

// stagedOf sees to it that the staged sources of a run can be read: from where its ranks put them,
// or if they are gone, made again in a temporary folder, which cleanup removes.
func stagedOf(ctx context.Context, cfg *dataset.Config) (cleanup func(), err error) {
	for _, m := range cfg.Corpus.GetSources() {
		if !m.GetStaged() {
			continue
		}
		switch _, err := cfg.OpenStaged(ctx, m); {
		case errors.Is(err, dataset.ErrNotStaged):
			return stageAside(ctx, cfg)
		case err != nil:
			return nil, err
		}
	}
	return func() {}, nil
}

func stageAside(ctx context.Context, cfg *dataset.Config) (cleanup func(), err error) {
	dir, err := os.MkdirTemp("", "banyan-staged-")
	if err != nil {
		return nil, fmt.Errorf("stage sources: %w", err)
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	cfg.Stage = dir
	if err := dataset.Stage(ctx, *cfg, 0, 1, func(string, uint64) {}); err != nil {
		cleanup()
		return nil, err
	}
	return cleanup, nil
}
