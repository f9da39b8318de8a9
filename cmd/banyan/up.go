package main

import (
	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/internal/local"
)

func upCommand() *cobra.Command {
	var cfg local.Config
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a local cluster: coordinators and workers, each a process of its own",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Out = cmd.OutOrStdout()
			return local.Up(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Coordinators, "coordinators", 1, "coordinators: 1, 3 or 5")
	f.IntVar(&cfg.Workers, "workers", 1, "workers, one CPU device each")
	f.StringVar(&cfg.Dir, "dir", ".banyan", "folder for all state and logs")
	f.IntVar(&cfg.Port, "port", 7070,
		"first gRPC port of a new --dir (an old one keeps its ports); 0: any free ports")
	f.IntVar(&cfg.Threads, "threads", 0, "kernel threads a rank; 0: cores / workers")
	return cmd
}
