package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/state"
	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

func stagedCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "staged",
		Short: "List the staged sources that lie in the checkpoint folders, and whose they are",
		Long: "List the staged sources that lie in the checkpoint folders of all runs, and whose they\n" +
			"are. Nothing removes them by itself: a run that is resumed, and an audit, reads them again.\n" +
			"\n" +
			"--remove removes those that only runs which are over have, or none. What is missing is made\n" +
			"again by who needs it, which takes as long as the first time. Runs of another cluster that\n" +
			"keep checkpoints in the same folder are not known here: do not remove what they read.",
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			return staged(cmd, c, remove)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove those that no run may be reading")
	return cmd
}

// staged lists, place by place; with remove it removes too.
func staged(cmd *cobra.Command, c *client.Client, remove bool) error {
	runs, err := allRuns(cmd, c)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "STAGED SOURCE\tBYTES\tRUNS")
	var failed error // a store that is away hides its own alone
	seen := map[string]bool{}
	for _, run := range runs {
		in := dataset.StagedIn(run.GetResolved())
		if seen[in] {
			continue
		}
		seen[in] = true
		op, err := router.New(run.GetResolved().GetSpec().GetStores())
		if err != nil {
			return err
		}
		list, err := dataset.StagedFolders(cmd.Context(), op, in)
		failed = errors.Join(failed, err)
		for _, f := range list {
			line, _ := readers(runs, f.Name)
			if remove {
				line, err = unstage(cmd, c, op, in, f)
				failed = errors.Join(failed, err)
			}
			fmt.Fprintf(w, "%s/%s\t%d\t%s\n", in, f.Name, f.Bytes, line)
		}
	}
	return errors.Join(w.Flush(), failed)
}

// unstage removes a folder unless a run may be reading it, and says whose it is and whether it is
// gone. It asks for the runs anew: one may have been launched or resumed since.
func unstage(cmd *cobra.Command, c *client.Client, op store.Opener, in string,
	f dataset.StagedFolder,
) (line string, err error) {
	runs, err := allRuns(cmd, c)
	if err != nil {
		return "", err
	}
	names, live := readers(runs, f.Name)
	if live {
		return names, nil
	}
	if err := dataset.Unstage(cmd.Context(), op, in, f); err != nil {
		return names, err
	}
	return names + "\tremoved", nil
}

func allRuns(cmd *cobra.Command, c *client.Client) ([]*pb.Run, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
	defer cancel()
	return c.Runs(ctx)
}

// readers names the runs that a staged source is of, wherever they keep it: two names may be of one
// place. live: one of them is not over.
func readers(runs []*pb.Run, folder string) (names string, live bool) {
	var list []string
	for _, run := range runs {
		if !slices.Contains(dataset.StagedNames(run.GetResolved()), folder) &&
			!slices.Contains(dataset.StagedNames(run.GetNext()), folder) {
			continue
		}
		list = append(list, run.GetId()+" "+run.GetState().String())
		live = live || !state.Over(run)
	}
	if len(list) == 0 {
		return "none", false
	}
	return strings.Join(list, ", "), live
}
