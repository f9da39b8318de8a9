package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func drainCommand() *cobra.Command {
	var back, leave bool
	cmd := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Take a worker out of service, or back in",
		Long: "Take a worker out of service, or back in with --back.\n\n" +
			"A drained worker gets no ranks. Those that it serves checkpoint at their next step and go\n" +
			"on elsewhere, or wait if there is no room; no step is repeated. It stays drained when it\n" +
			"is stopped and started again.",
		Args: args(1, "WORKER"),
		RunE: func(cmd *cobra.Command, given []string) error {
			worker := given[0]
			err := withClient(cmd, func(ctx context.Context, c *client.Client) error {
				return c.Drain(ctx, worker, back)
			})
			switch {
			case err != nil:
				return err
			case back:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s takes ranks again\n", worker)
				return err
			case leave:
				return nil
			}
			return awaitDrained(cmd, worker)
		},
	}
	cmd.Flags().BoolVar(&back, "back", false, "take it in again")
	cmd.Flags().BoolVar(&leave, "no-wait", false, "ask for it and return at once")
	return cmd
}

// servedBy lists what a worker serves: the runs that are placed on it, or the ranks that it says
// it has. A leader that is new knows the first before it has heard any worker; ranks that are
// ending are only in the second.
func servedBy(worker string, runs []*pb.Run, workers []*pb.WorkerStatus) []string {
	var out []string
	for _, r := range runs {
		here := func(p *pb.RankPlace) bool { return p.GetWorker() == worker }
		if slices.ContainsFunc(r.GetRanks(), here) {
			out = append(out, r.GetId())
		}
	}
	for _, w := range workers {
		if w.GetInfo().GetId() == worker && len(out) == 0 {
			out = append(out, w.GetServing()...)
		}
	}
	return out
}

// awaitDrained waits until a worker serves nothing, or is gone itself.
func awaitDrained(cmd *cobra.Command, worker string) error {
	for polls := 0; ; polls++ {
		var serves []string
		err := withClient(cmd, func(ctx context.Context, c *client.Client) error {
			runs, err := c.Runs(ctx)
			if err != nil {
				return err
			}
			workers, err := c.Workers(ctx)
			serves = servedBy(worker, runs, workers)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s is drained, what it serves is not known: %w", worker, err)
		}
		if len(serves) == 0 {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is drained and serves nothing\n", worker)
			return err
		}
		if polls == stopNote {
			fmt.Fprintf(cmd.ErrOrStderr(), "waiting for %s to checkpoint and leave %s\n",
				strings.Join(serves, ", "), worker)
		}
		select {
		case <-time.After(stopPoll):
		case <-cmd.Context().Done():
			return interrupted(fmt.Sprintf("interrupted; worker %s is drained, and its ranks are asked "+
				"to move", worker))
		}
	}
}
