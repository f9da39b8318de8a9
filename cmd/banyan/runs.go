package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/state"
)

func runsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List runs",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, c *client.Client) error {
				runs, err := c.Runs(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					for _, r := range runs {
						if err := printJSON(cmd.OutOrStdout(), r); err != nil {
							return err
						}
					}
					return nil
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				fmt.Fprintln(w, "RUN\tSTATE\tGEN\tRANKS\tCHECKPOINT\tSTEPS\tREASON")
				for _, r := range runs {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r.GetId(), r.GetState(),
						r.GetGeneration(), len(r.GetRanks()), state.Newest(r).GetStep(),
						r.GetResolved().GetTotalSteps(), r.GetReason())
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a run")
	return cmd
}

func stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop RUN",
		Short: "Checkpoint a run at the next step boundary and stop it",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return withClient(cmd, func(ctx context.Context, c *client.Client) error {
				return c.Stop(ctx, given[0])
			})
		},
	}
}

func resumeCommand() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:   "resume RUN",
		Short: "Resume a stopped, failed or finished run, with recorded edits",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return withClientFor(cmd, resolveTimeout, func(ctx context.Context, c *client.Client) error {
				return c.Resume(ctx, given[0], set)
			})
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "edit a field: path=value")
	return cmd
}
