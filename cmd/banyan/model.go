package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
)

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Work on a Hugging Face model folder"}
	cmd.AddCommand(modelInitCommand(), modelLogitsCommand())
	return cmd
}

func modelInitCommand() *cobra.Command {
	var o storeFlags
	var config, tokenizer string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "init DEST",
		Short: "Write a randomly initialised model, a base to grow from",
		Args:  args(1, "DEST --config config.json"),
		RunE: func(cmd *cobra.Command, given []string) error {
			b, err := os.ReadFile(config)
			if err != nil {
				return fmt.Errorf("%w: read config: %w", errUsage, err)
			}
			cfg, err := hf.ParseConfig(b)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errUsage, config, err)
			}
			extra := map[string][]byte{}
			if tokenizer != "" {
				if extra, err = readFolder(tokenizer); err != nil {
					return fmt.Errorf("%w: read tokenizer: %w", errUsage, err)
				}
			}
			opener, err := router.New(o.stores())
			if err != nil {
				return err
			}
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
			if err := hf.Write(cmd.Context(), opener, given[0], cfg, tensors, extra); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d parameters\n", given[0],
				model.ParameterCount(cfg))
			return err
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&config, "config", "config.json", "Hugging Face config.json")
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "",
		"folder whose tokenizer files go with the model")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the initialisation")
	return cmd
}

// readFolder reads the files of a small folder by name.
func readFolder(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func modelLogitsCommand() *cobra.Command {
	var o storeFlags
	var dir, list string
	cmd := &cobra.Command{
		Use:   "logits",
		Short: "Print the logits of one sequence of token ids as a line of JSON",
		Args:  args(0, "--model DIR --ids 1,2,3"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ids, err := parseIDs(list)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			opener, err := router.New(o.stores())
			if err != nil {
				return err
			}
			folder, err := hf.Load(cmd.Context(), opener, dir)
			if err != nil {
				return err
			}
			logits, err := logitsOf(cmd.Context(), folder, ids)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
				IDs    []int32   `json:"ids"`
				Shape  [2]int    `json:"shape"`
				Logits []float32 `json:"logits"`
			}{ids, [2]int{len(ids), int(folder.Config().GetVocabSize())}, logits})
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&dir, "model", "", "Hugging Face folder")
	cmd.Flags().StringVar(&list, "ids", "", "token ids, comma-separated")
	return cmd
}

func parseIDs(list string) ([]int32, error) {
	var ids []int32
	for s := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--ids: %q is not a token id", s)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

func logitsOf(ctx context.Context, folder *hf.Folder, ids []int32) ([]float32, error) {
	be, err := cpu.New(cpu.Options{})
	if err != nil {
		return nil, err
	}
	defer be.Close()
	var params []kernel.Tensor
	for _, u := range model.Units(folder.Config()) {
		x, err := be.Alloc(u.Size, kernel.F32)
		if err != nil {
			return nil, err
		}
		host := be.Host(x)
		for _, p := range u.Params {
			if err := folder.Read(ctx, p.Name, 0, p.Len(), host[p.Offset:p.Offset+p.Len()]); err != nil {
				return nil, err
			}
		}
		params = append(params, x)
	}
	return model.Logits(folder.Config(), be, params, ids)
}
