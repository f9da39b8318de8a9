package checkpoint

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/banyan-train/banyan/store"
)

// belowCheckpoint finds, in a key below a run's folder, the folder of a checkpoint that it is in.
var belowCheckpoint = regexp.MustCompile(`^(step-([0-9]{8,})/gen-([0-9]+))/`)

// Sweep removes the checkpoints that generations before one have left in a run's folder, whole or
// in part, but for those that keep wants: what died in mid-upload, and what a crash kept from being
// deleted. No such generation can commit a checkpoint any more, so what is not on record by now
// never will be. Everything else in the folder is left alone. It returns the folders removed.
func Sweep(ctx context.Context, op store.Opener, to, run string, before uint64,
	keep func(step, generation uint64) bool,
) (removed []string, err error) {
	dir := runDir(to, run)
	b, key, err := op.Open(join(dir, "x"))
	if err != nil {
		return nil, fmt.Errorf("sweep checkpoints: %w", err)
	}
	prefix := strings.TrimSuffix(key, "x")
	objects, err := b.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("sweep checkpoints: %w", err)
	}
	for _, o := range objects { // by ascending key: those of a folder come together
		m := belowCheckpoint.FindStringSubmatch(o.Key[len(prefix):])
		if m == nil || slices.Contains(removed, m[1]) {
			continue
		}
		step, errStep := strconv.ParseUint(m[2], 10, 64)
		generation, errGeneration := strconv.ParseUint(m[3], 10, 64)
		if errStep != nil || errGeneration != nil || generation >= before || keep(step, generation) {
			continue
		}
		if err := Delete(ctx, op, join(dir, m[1])); err != nil {
			return removed, fmt.Errorf("sweep checkpoints: %w", err)
		}
		removed = append(removed, m[1])
	}
	return removed, nil
}
