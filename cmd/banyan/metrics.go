package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/internal/metrics"
)

func metricsCommand() *cobra.Command {
	var listen string
	var insecure bool
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Show the cluster to Prometheus",
		Long: "Show the cluster to Prometheus: workers, runs, and the newest step of each, at\n" +
			"http://ADDRESS/metrics. One is enough for a cluster, on any host: it finds the leader.",
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := refusePlaintext(insecure, listen); err != nil {
				return err
			}
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("%w: listen for scrapes: %w; --listen names another address",
					errUsage, err)
			}
			e := metrics.New(c, logger())
			mux := http.NewServeMux()
			mux.Handle("GET /metrics", e.Handler())
			s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
			defer context.AfterFunc(cmd.Context(), func() { _ = s.Close() })()
			go e.Follow(cmd.Context())
			fmt.Fprintf(cmd.OutOrStdout(), "http://%s/metrics\n", l.Addr())
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:7079", "address to serve at")
	cmd.Flags().BoolVar(&insecure, "insecure", false,
		"allow other addresses than loopback, in plaintext")
	return cmd
}
