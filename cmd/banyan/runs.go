package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
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
	var leave bool
	cmd := &cobra.Command{
		Use:   "stop RUN",
		Short: "Checkpoint a run at the next step boundary and stop it",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			run, err := find(cmd.Context(), c, given[0])
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
			defer cancel()
			if err := c.Stop(ctx, run.GetId()); err != nil || leave {
				return err
			}
			return awaitStop(cmd, c, run.GetId())
		},
	}
	cmd.Flags().BoolVar(&leave, "no-wait", false, "ask for it and return at once")
	return cmd
}

const (
	stopPoll = 200 * time.Millisecond
	stopNote = 10 // polls before a person is told what takes so long
)

// awaitStop waits until a run that was asked to stop is over, and says how it ended.
func awaitStop(cmd *cobra.Command, c *client.Client, id string) error {
	for polls := 0; ; polls++ {
		run, err := find(cmd.Context(), c, id)
		if err == nil && state.Over(run) {
			if run.GetState() == pb.RunState_FAILED {
				return fmt.Errorf("run %s failed: %s", id, run.GetReason())
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", id, run.GetReason())
			return err
		}
		if polls == stopNote {
			fmt.Fprintf(cmd.ErrOrStderr(), "waiting for the checkpoint of run %s\n", id)
		}
		select {
		case <-cmd.Context().Done():
			return interrupted(fmt.Sprintf("interrupted; run %s was asked to stop and will", id))
		case <-time.After(stopPoll):
		}
		if err != nil {
			return err
		}
	}
}

func resumeCommand() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:   "resume RUN",
		Short: "Resume a stopped, failed or finished run, with recorded edits",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			err := withClientFor(cmd, resolveTimeout, func(ctx context.Context, c *client.Client) error {
				return c.Resume(ctx, given[0], set)
			})
			if err != nil {
				return err
			}
			return noteWait(cmd, given[0])
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "edit a field: path=value")
	return cmd
}

const (
	placePoll  = 50 * time.Millisecond
	placePolls = 10
)

// noteWait tells a person that a run which was just started gets no devices, and why. The run is
// under way whatever becomes of the question: no answer is no error.
func noteWait(cmd *cobra.Command, name string) error {
	return withClient(cmd, func(ctx context.Context, c *client.Client) error {
		for polls := 0; ; polls++ {
			run, err := c.Run(ctx, name)
			if err != nil || run.GetState() != pb.RunState_PENDING {
				return nil
			}
			if polls == placePolls {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "run %s waits: %s\n", run.GetId(), run.GetReason())
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(placePoll):
			}
		}
	})
}
