package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func launchCommand() *cobra.Command {
	var set []string
	var request string
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "launch run.yaml",
		Short: "Start a run",
		Args:  args(1, "run.yaml"),
		RunE: func(cmd *cobra.Command, given []string) error {
			yaml, s, err := readSpec(given[0], set)
			if err != nil {
				return err
			}
			if request == "" {
				if request, err = client.NewRequestID(); err != nil {
					return err
				}
			}
			var id string
			err = withClientFor(cmd, resolveTimeout, func(ctx context.Context, c *client.Client) error {
				r, err := c.Launch(ctx, &pb.LaunchRequest{RequestId: request, Spec: s, SpecYaml: string(yaml)})
				id = r.GetRun()
				return err
			})
			if err != nil && cmd.Context().Err() != nil {
				return interrupted("interrupted before the cluster had answered; `banyan runs` tells " +
					"whether the run was started")
			}
			if err != nil {
				return err
			}
			if !follow {
				fmt.Fprintln(cmd.OutOrStdout(), id)
				return noteWait(cmd, id)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "run %s\n", id)
			return watch(cmd, id, watchOptions{asJSON: asJSON})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&set, "set", nil, "override a field: path=value")
	f.StringVar(&request, "request-id", "", "idempotency id: the same id gives the same run")
	f.BoolVar(&follow, "watch", false, "watch the run until it is over")
	f.BoolVar(&asJSON, "json", false, "with --watch: step records as JSON lines")
	return cmd
}
