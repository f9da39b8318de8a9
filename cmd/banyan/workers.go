package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/state"
)

func workersCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "List workers",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, c *client.Client) error {
				workers, err := c.Workers(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				if !asJSON {
					fmt.Fprintln(w, "WORKER\tLIVE\tDEVICES\tISA\tHOST\tSERVING\tHEARD")
				}
				for _, x := range workers {
					if asJSON {
						if err := printJSON(cmd.OutOrStdout(), x); err != nil {
							return err
						}
						continue
					}
					live := strconv.FormatBool(x.GetLive())
					if x.GetDrained() {
						live += ", drained"
					}
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%d ms ago\n", x.GetInfo().GetId(), live,
						x.GetInfo().GetDevices(), strings.Join(x.GetInfo().GetIsaClasses(), ","),
						x.GetAddress(), strings.Join(x.GetServing(), ","), x.GetSinceHeartbeatMs())
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a worker")
	return cmd
}

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the coordinators, who leads, and the runs that are not over",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, c *client.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				fmt.Fprintln(w, "MEMBER\tGRPC\tRAFT\tLEADS")
				for _, m := range s.GetMembers() {
					leads := ""
					if m.GetGrpcAddress() == s.GetLeaderAddress() {
						leads = "yes"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.GetId(), m.GetGrpcAddress(), m.GetRaftAddress(), leads)
				}
				if err := w.Flush(); err != nil || s.GetLeaderAddress() == "" {
					return err
				}
				return printUnfinished(ctx, cmd, c)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: the coordinators alone")
	return cmd
}

// printUnfinished lists the runs that hold devices or wait for some. Any member says who leads;
// only the leader knows this, and where it does not answer the rest of a status stands.
func printUnfinished(ctx context.Context, cmd *cobra.Command, c *client.Client) error {
	runs, err := c.Runs(ctx)
	if err != nil {
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "the runs are not known: %v\n", err)
		return err
	}
	runs = slices.DeleteFunc(runs, state.Over)
	if len(runs) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nRUN\tSTATE\tDEVICES\tREASON")
	for _, r := range runs {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", r.GetId(), r.GetState(), len(r.GetRanks()), r.GetReason())
	}
	return w.Flush()
}
