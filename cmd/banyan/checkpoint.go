package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/checkpoint/export"
	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

func checkpointsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "checkpoints RUN",
		Short: "List a run's live checkpoints",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return withClient(cmd, func(ctx context.Context, c *client.Client) error {
				run, err := c.Run(ctx, given[0])
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				if !asJSON {
					fmt.Fprintln(w, "STEP\tGEN\tSTATE\tMANIFEST DIGEST\tURI")
				}
				for _, ref := range run.GetCheckpoints() {
					if asJSON {
						if err := printJSON(cmd.OutOrStdout(), ref); err != nil {
							return err
						}
						continue
					}
					state := "ok"
					if ref.GetCorrupt() {
						state = "CORRUPT"
					}
					fmt.Fprintf(w, "%d\t%d\t%s\t%.16s\t%s\n", ref.GetStep(), ref.GetGeneration(), state,
						ref.GetDigest(), ref.GetUri())
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a checkpoint")
	return cmd
}

func checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "checkpoint",
		Short: "Work on one checkpoint: RUN, RUN@STEP or a manifest's URI"}
	var dtype string
	var replace replaceFlag
	exporter := onCheckpoint("export CHECKPOINT DEST",
		"Write a Hugging Face folder (a directory or s3://...)", 2, exportTo(&dtype, &replace))
	exporter.Flags().StringVar(&dtype, "dtype", "fp32", "type of the weights: fp32 | bf16")
	replace.register(exporter)
	cmd.AddCommand(
		onCheckpoint("verify CHECKPOINT", "Read every byte back and compare its digests", 1, verify),
		onCheckpoint("digest CHECKPOINT",
			"Digest of the logical tensors, whatever the world that wrote them", 1, digest),
		exporter,
	)
	return cmd
}

type checkpointAction func(ctx context.Context, cmd *cobra.Command, r *checkpoint.Reader,
	op store.Opener, rest []string) error

func onCheckpoint(use, short string, n int, act checkpointAction) *cobra.Command {
	var opts storeFlags
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  args(n, strings.Join(strings.Fields(use)[1:], " ")),
		RunE: func(cmd *cobra.Command, given []string) error {
			uri, pinned, stores, err := locate(cmd, given[0], opts)
			if err != nil {
				return err
			}
			opener, err := router.New(stores)
			if err != nil {
				return err
			}
			r, err := checkpoint.Open(cmd.Context(), opener, uri, pinned)
			if err != nil {
				return err
			}
			return act(cmd.Context(), cmd, r, opener, given[1:])
		},
	}
	opts.register(cmd)
	return cmd
}

// locate finds the manifest of RUN, RUN@STEP or a URI, and the stores to reach it through.
func locate(cmd *cobra.Command, name string, o storeFlags) (string, string, []*pb.Store, error) {
	if strings.Contains(name, "/") {
		return name, "", o.stores(), nil
	}
	id, step, hasStep := strings.Cut(name, "@")
	var found *pb.CheckpointRef
	var stores []*pb.Store
	err := withClient(cmd, func(ctx context.Context, c *client.Client) error {
		run, err := c.Run(ctx, id)
		if err != nil {
			return err
		}
		stores = storesOf(run, o)
		for _, ref := range run.GetCheckpoints() {
			if hasStep && fmt.Sprint(ref.GetStep()) == step || !hasStep && !ref.GetCorrupt() {
				found = ref
			}
		}
		if found == nil {
			return fmt.Errorf("run %s has no checkpoint %s; `banyan checkpoints %s` lists them",
				run.GetId(), step, run.GetId())
		}
		return nil
	})
	return found.GetUri(), found.GetDigest(), stores, err
}

// storesOf are the stores of a run; those of the flags if it has none, as it may be exported to S3.
func storesOf(run *pb.Run, o storeFlags) []*pb.Store {
	if stores := run.GetResolved().GetSpec().GetStores(); len(stores) > 0 {
		return stores
	}
	return o.stores()
}

func verify(ctx context.Context, cmd *cobra.Command, r *checkpoint.Reader, _ store.Opener,
	_ []string,
) error {
	if err := r.Verify(ctx); err != nil {
		return err
	}
	m := r.Manifest()
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "ok: step %d of %s, %d objects\n", m.Step, m.Run,
		len(m.Objects()))
	return err
}

func digest(ctx context.Context, cmd *cobra.Command, r *checkpoint.Reader, _ store.Opener,
	_ []string,
) error {
	sum, err := checkpoint.LogicalDigest(ctx, r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), sum)
	return err
}

func exportTo(dtype *string, replace *replaceFlag) checkpointAction {
	return func(ctx context.Context, cmd *cobra.Command, r *checkpoint.Reader, op store.Opener,
		rest []string,
	) error {
		if len(rest) != 1 {
			return errors.New("export: want one destination")
		}
		format, err := hf.ParseFormat(*dtype)
		if err != nil {
			return fmt.Errorf("%w: --dtype: %w", errInput, err)
		}
		if err := replace.check(ctx, op, rest[0]); err != nil {
			return err
		}
		if err := export.HuggingFace(ctx, r, op, rest[0], format); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "exported step %d of %s to %s in %s\n",
			r.Manifest().Step, r.Manifest().Run, rest[0], *dtype)
		return err
	}
}
