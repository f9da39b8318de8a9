package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/coordinator/spec"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/survey"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/internal/view"
	"github.com/banyan-train/banyan/store/router"
)

func inspectCommand() *cobra.Command {
	var set []string
	var asJSON bool
	var samples int
	cmd := &cobra.Command{
		Use:   "inspect run.yaml",
		Short: "Read all sources of a run and count what they hold; starts nothing",
		Args:  args(1, "run.yaml"),
		RunE: func(cmd *cobra.Command, given []string) error {
			report, err := inspect(cmd, given[0], set, samples, asJSON)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = view.Survey(cmd.OutOrStdout(), report)
			}
			for _, s := range report.Sources {
				if s.Broken > 0 && err == nil {
					err = errBroken
				}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "override a field: path=value")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	cmd.Flags().IntVar(&samples, "samples", 1, "sequences shown of each source")
	return cmd
}

func inspect(cmd *cobra.Command, path string, set []string, samples int, quiet bool,
) (*survey.Report, error) {
	_, s, err := readSpec(path, set)
	if err != nil {
		return nil, err
	}
	opener, err := router.New(s.GetStores())
	if err != nil {
		return nil, err
	}
	ctx := cmd.Context()
	resolved, err := spec.Resolve(ctx, spec.Inputs{Spec: s, Opener: opener, Unread: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	tok, err := tokenize.LoadPinned(ctx, opener, resolved.GetTokenizer())
	if err != nil {
		return nil, err
	}
	bar := newBar(cmd.ErrOrStderr(), quiet)
	defer bar.clear()
	cfg := dataset.ConfigOf(resolved, tok, opener)
	if cfg.Stage, err = os.MkdirTemp("", "banyan-staged-"); err != nil {
		return nil, fmt.Errorf("stage sources: %w", err)
	}
	defer os.RemoveAll(cfg.Stage)
	return survey.Run(ctx, survey.Options{
		Config:  cfg,
		Tokens:  resolved.GetTotalSteps() * spec.TokensPerStep(resolved.GetSpec()),
		Steps:   resolved.GetTotalSteps(),
		Samples: samples, Progress: bar.show,
	})
}
