package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

func tokenizerExtendCommand() *cobra.Command {
	var o storeFlags
	var base, add, out string
	var force bool
	cmd := &cobra.Command{
		Use:   "extend --base tokenizer.model --add FILE -o DEST",
		Short: "Write a SentencePiece model with more pieces: those of another, or one a line",
		Args:  args(0, "--base tokenizer.model --add FILE -o DEST"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if base == "" || add == "" || out == "" {
				return fmt.Errorf("%w: --base, --add and -o are needed", errUsage)
			}
			op, err := router.New(o.stores())
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			merged, total, fresh, err := tokenize.Extend(ctx, op, base, add)
			if errors.Is(err, tokenize.ErrInvalid) || errors.Is(err, tokenize.ErrUnsupported) {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			if err != nil {
				return err
			}
			dest, err := put(ctx, op, out, merged, force)
			if errors.Is(err, store.ErrExists) {
				return fmt.Errorf("%w: %s is there already; name another, or replace it by --force", errInput,
					dest)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d pieces, %d of them new\n", dest, total,
				fresh)
			return err
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&base, "base", "", "the tokenizer.model to extend, or its folder")
	f.StringVar(&add, "add", "", "a tokenizer.model, or a text with one piece a line")
	f.StringVarP(&out, "out", "o", "", "file ending in .model, or a folder")
	f.BoolVar(&force, "force", false, "replace a tokenizer.model that is there")
	return cmd
}

// put writes tokenizer.model to a file or into a folder.
func put(ctx context.Context, op store.Opener, out string, data []byte, force bool,
) (string, error) {
	if !strings.HasSuffix(out, ".model") {
		out = strings.TrimRight(out, "/") + "/tokenizer.model"
	}
	if !strings.Contains(out, "://") {
		err := os.MkdirAll(filepath.Dir(out), 0o755)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("write %s: %w", out, err)
		}
	}
	b, key, err := op.Open(out)
	if err != nil {
		return "", err
	}
	_, err = b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), !force)
	return out, err
}
