package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/store"
)

// replaceFlag is --force of a command that writes a model folder.
type replaceFlag struct{ force bool }

func (r *replaceFlag) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.force, "force", false, "write into a folder that is not empty: a model "+
		"in it is replaced")
}

// check refuses a destination that holds files, unless they were given up: a base model may have
// no other copy, and files of another tokenizer beside new weights would be taken for theirs.
func (r *replaceFlag) check(ctx context.Context, op store.Opener, dest string) error {
	if r.force {
		return nil
	}
	bucket, key, err := op.Open(strings.TrimRight(dest, "/") + "/config.json")
	if err != nil {
		return err
	}
	there, err := bucket.List(ctx, strings.TrimSuffix(key, "config.json"))
	if err != nil {
		return fmt.Errorf("look into %s: %w", dest, err)
	}
	if len(there) > 0 {
		return fmt.Errorf("%w: %s is not empty: it holds %s; name a new folder, or replace the model "+
			"in this one by --force", errInput, dest, files(there, strings.TrimSuffix(key, "config.json")))
	}
	return nil
}

// same tells whether two names are of one folder, through links too where it is a local one.
func same(a, b string) bool {
	a, b = strings.TrimRight(a, "/"), strings.TrimRight(b, "/")
	x, errX := os.Stat(strings.TrimPrefix(a, "file://"))
	y, errY := os.Stat(strings.TrimPrefix(b, "file://"))
	return a == b || errX == nil && errY == nil && os.SameFile(x, y)
}

// files names the first files of a folder.
func files(list []store.Info, folder string) string {
	const shown = 3
	var names []string
	for _, info := range list[:min(len(list), shown)] {
		names = append(names, strings.TrimPrefix(info.Key, folder))
	}
	if more := len(list) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
