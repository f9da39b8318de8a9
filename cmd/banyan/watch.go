package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/internal/view"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

type watchOptions struct {
	asJSON, events bool
	from           uint64
}

func watchCommand() *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "Watch a run: history, then live, until it is over",
		Args:  args(1, "RUN"),
		RunE:  func(cmd *cobra.Command, given []string) error { return watch(cmd, given[0], o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.asJSON, "json", false, "one JSON object a step")
	f.BoolVar(&o.events, "events", false, "with --json: events too")
	f.Uint64Var(&o.from, "from-step", 1, "first step to show")
	return cmd
}

// watch shows a run until it is over; a run that did not succeed or stop is an error.
func watch(cmd *cobra.Command, name string, o watchOptions) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	run, err := find(cmd.Context(), c, name)
	if err != nil {
		return err
	}
	show := view.NewJSON(cmd.OutOrStdout(), o.events).Item
	var lost func(error)
	shown := func(string) bool { return false }
	if !o.asJSON {
		text := view.NewText(cmd.OutOrStdout(), isTerminal(os.Stdout), run.GetResolved().GetTotalSteps())
		defer text.Close()
		show, shown = text.Item, text.Shown
		lost = func(error) { _ = text.Note("! coordinator lost; moving to another") }
	}
	err = c.Watch(cmd.Context(), run.GetId(), client.Cursor{Step: max(o.from, 1) - 1}, show, lost)
	if err != nil && cmd.Context().Err() != nil {
		return interrupted(fmt.Sprintf("interrupted; run %s goes on: `banyan watch %[1]s` follows it, "+
			"`banyan stop %[1]s` stops it", run.GetId()))
	}
	if err != nil {
		return err
	}
	if run, err = find(cmd.Context(), c, run.GetId()); err != nil {
		return err
	}
	if run.GetState() != pb.RunState_FAILED {
		return nil
	}
	if shown(run.GetReason()) && oneOutput() {
		return fmt.Errorf("run %s failed; the reason is above", run.GetId())
	}
	return fmt.Errorf("run %s failed: %s", run.GetId(), run.GetReason())
}

// oneOutput reports whether standard output and standard error go to the same place.
func oneOutput() bool {
	out, err := os.Stdout.Stat()
	errs, err2 := os.Stderr.Stat()
	return err == nil && err2 == nil && os.SameFile(out, errs)
}

func find(ctx context.Context, c *client.Client, name string) (*pb.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Run(ctx, name)
}
