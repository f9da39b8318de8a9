package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/spec"
)

func setWeightsCommand() *cobra.Command {
	var step uint64
	cmd := &cobra.Command{
		Use:   "set-weights RUN NAME=WEIGHT,...",
		Short: "Change the mixture of a run from a future step on, as a recorded edit",
		Long: "Change the mixture of a run from a future step on, as a recorded edit.\n\n" +
			"Every source needs a weight, in the run's data.weight_unit; 0 leaves it out. The ranks\n" +
			"checkpoint at their next step and go on in a new generation that knows the edit.",
		Args: args(2, "RUN NAME=WEIGHT,..."),
		RunE: func(cmd *cobra.Command, given []string) error {
			weights, err := spec.ParseWeights(given[1])
			if err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			if step == 0 {
				return fmt.Errorf("%w: --at-step is missing: name the first step with these weights",
					errUsage)
			}
			err = withClient(cmd, func(ctx context.Context, c *client.Client) error {
				return c.SetWeights(ctx, given[0], weights, step)
			})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the mixture of %s changes at step %d\n", given[0], step)
			}
			return err
		},
	}
	cmd.Flags().Uint64Var(&step, "at-step", 0, "the first step with these weights")
	return cmd
}
