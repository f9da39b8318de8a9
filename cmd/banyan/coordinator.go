package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/coordinator/server"
	"github.com/banyan-train/banyan/internal/local"
)

func coordinatorCommand() *cobra.Command {
	var file, id, dir string
	var insecure bool
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Run one coordinator",
		Args:  args(0, "--cluster FILE --id ID --dir DIR"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := local.Read(file)
			if err != nil {
				return err
			}
			cfg := server.Config{ID: id, Dir: dir, Secret: cluster.Secret,
				Log: logger().With().Str("member", id).Logger()}
			for _, m := range cluster.Members {
				if err := refusePlaintext(insecure, m.GRPC, m.Raft, m.NATS); err != nil {
					return err
				}
				cfg.Members = append(cfg.Members,
					server.Address{ID: m.ID, GRPC: m.GRPC, Raft: m.Raft, NATS: m.NATS})
			}
			if err := server.Run(cmd.Context(), cfg); !errors.Is(err, errParentGone) &&
				!errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "cluster", "cluster.json", "file that lists all coordinators")
	f.StringVar(&id, "id", "c1", "which of them this is")
	f.BoolVar(&insecure, "insecure", false, "allow other addresses than loopback, in plaintext")
	f.StringVar(&dir, "dir", ".banyan/c1", "folder for the Raft log and telemetry")
	return cmd
}
