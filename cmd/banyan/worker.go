package main

import (
	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/worker/agent"
)

func workerCommand() *cobra.Command {
	var cfg agent.Config
	var insecure bool
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run the worker daemon of this host",
		Args:  args(0, "--id ID --dir DIR"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := cmd.Flags().GetString("addr")
			if err != nil {
				return err
			}
			if err := refusePlaintext(insecure, cfg.Host); err != nil {
				return err
			}
			cfg.Coordinators = client.Addresses(list)
			cfg.Version = Version
			cfg.Log = logger().With().Str("worker", cfg.ID).Logger()
			return agent.Run(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.ID, "id", "", "name of this worker, unique in the cluster")
	f.StringVar(&cfg.Host, "host", "127.0.0.1", "address other workers reach this host at")
	f.BoolVar(&insecure, "insecure", false, "allow a --host other than loopback, in plaintext")
	f.IntVar(&cfg.Devices, "devices", 1, "CPU devices to offer, one rank each")
	f.IntVar(&cfg.Threads, "threads", 0, "kernel threads a rank; 0: cores / devices")
	f.StringVar(&cfg.Dir, "dir", ".banyan/worker", "folder for the ranks' logs")
	return cmd
}
