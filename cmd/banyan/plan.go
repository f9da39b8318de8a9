package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/coordinator/spec"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

func planCommand() *cobra.Command {
	var set []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan run.yaml",
		Short: "Validate and resolve a run; starts nothing",
		Args:  args(1, "run.yaml"),
		RunE: func(cmd *cobra.Command, given []string) error {
			_, s, err := readSpec(given[0], set)
			if err != nil {
				return err
			}
			opener, err := router.New(s.GetStores())
			if err != nil {
				return err
			}
			resolved, err := spec.Resolve(cmd.Context(), spec.Inputs{Spec: s, Opener: opener})
			if err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), resolved)
			}
			spec.RenderPlan(cmd.OutOrStdout(), resolved)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "override a field: path=value")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the resolved run as JSON")
	return cmd
}

// readSpec reads and checks a YAML file; errors name file, line and column.
func readSpec(path string, set []string) ([]byte, *pb.RunSpec, error) {
	yaml, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: read spec: %w", errInput, err)
	}
	s, err := spec.Parse(path, yaml, set...)
	return yaml, s, err
}
