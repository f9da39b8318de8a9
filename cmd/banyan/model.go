package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/model"
)

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Work on a Hugging Face model folder"}
	cmd.AddCommand(modelInitCommand(), modelExtendCommand(), modelLogitsCommand(), modelLossCommand())
	return cmd
}

func modelInitCommand() *cobra.Command {
	var o storeFlags
	var replace replaceFlag
	var config, tokenizer, dtype string
	var seed uint64
	var shardBytes int64
	cmd := &cobra.Command{
		Use:   "init DEST",
		Short: "Write a randomly initialised model, a base to grow from",
		Args:  args(1, "DEST --config config.json"),
		RunE: func(cmd *cobra.Command, given []string) error {
			b, err := os.ReadFile(config)
			if err != nil {
				return fmt.Errorf("%w: read config: %w", errInput, err)
			}
			cfg, err := hf.ParseConfig(b)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errInput, config, err)
			}
			format, err := hf.ParseFormat(dtype)
			if err != nil {
				return fmt.Errorf("%w: --dtype: %w", errInput, err)
			}
			format.ShardBytes = shardBytes
			opener, err := router.New(o.stores())
			if err != nil {
				return err
			}
			var extra map[string][]byte
			if tokenizer != "" {
				if extra, err = tokenize.Files(cmd.Context(), opener, tokenizer); err != nil {
					return fmt.Errorf("%w: --tokenizer: %w", errInput, err)
				}
			}
			if err := replace.check(cmd.Context(), opener, given[0]); err != nil {
				return err
			}
			err = hf.WriteAs(cmd.Context(), opener, given[0], cfg, initial(cfg, seed), extra, format)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d parameters\n", given[0],
				model.ParameterCount(cfg))
			return err
		},
	}
	o.register(cmd)
	replace.register(cmd)
	cmd.Flags().StringVar(&config, "config", "config.json", "Hugging Face config.json")
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "",
		"tokenizer that goes with the model: its folder or file")
	cmd.Flags().StringVar(&dtype, "dtype", "fp32", "type of the weights: fp32 | bf16")
	cmd.Flags().Int64Var(&shardBytes, "shard-bytes", 0,
		"most bytes of weights in one file (default 5 GB)")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the initialisation")
	return cmd
}

// initial yields random weights.
func initial(cfg *pb.ModelConfig, seed uint64) []hf.TensorSource {
	var tensors []hf.TensorSource
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			tensors = append(tensors, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(_ context.Context, dst []float32) error {
					model.InitParam(cfg, p, seed, dst)
					return nil
				}})
		}
	}
	return tensors
}
