package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/worker/rank"
)

const rankName = "rank"

// exitOrphaned is the exit code of a rank whose worker daemon is gone.
const exitOrphaned = 3

func rankCommand() *cobra.Command {
	var cfg rank.Config
	cmd := &cobra.Command{
		Use:    rankName,
		Short:  "One rank process; started by a worker",
		Hidden: true,
		Args:   args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := rank.Inherited()
			if err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			cfg.Log = logger()
			return rank.Main(cmd.Context(), cfg, conn, func(error) { os.Exit(exitOrphaned) })
		},
	}
	cmd.Flags().StringVar(&cfg.Host, "host", "127.0.0.1", "address peers reach this rank at")
	cmd.Flags().IntVar(&cfg.Threads, "threads", 1, "kernel threads")
	return cmd
}
