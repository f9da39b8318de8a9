package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/store"
)

// maxCursors bounds one object of cursors: a position of some 30 bytes for each of a million slots
// and some sources.
const maxCursors = 1 << 28

// cursorsName is the object, below a run's folder, that keeps the cursors of a step. A cursor
// outlives the retention of its checkpoint, so that the data of any step can be found quickly.
func cursorsName(step uint64) string { return fmt.Sprintf("cursors/step-%08d.json", step) }

func runDir(to, run string) string { return strings.TrimRight(to, "/") + "/" + run }

// KeepCursors stores the dataset cursors of a checkpoint's ranks beside the run's checkpoints, for
// good. A later generation that makes the same step again replaces them. It may be repeated.
func KeepCursors(ctx context.Context, op store.Opener, to string, m *manifest.Manifest) error {
	var cursors []json.RawMessage
	for _, s := range m.Shards {
		if len(s.Cursor) > 0 {
			cursors = append(cursors, s.Cursor)
		}
	}
	data, err := json.Marshal(cursors)
	if err != nil {
		return fmt.Errorf("keep cursors: %w", err)
	}
	uri := join(runDir(to, m.Run), cursorsName(m.Step))
	b, key, err := op.Open(uri)
	if err != nil {
		return fmt.Errorf("keep cursors: %w", err)
	}
	if _, err := b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), false); err != nil {
		return fmt.Errorf("keep cursors: %w", err)
	}
	return nil
}

// CursorsBefore returns the kept cursors of the last step before `step`, one a rank that had any;
// step 0 and none if there is no such step.
func CursorsBefore(ctx context.Context, op store.Opener, to, run string, step uint64,
) (uint64, []json.RawMessage, error) {
	dir := runDir(to, run)
	b, key, err := op.Open(join(dir, "cursors/"))
	if err != nil {
		return 0, nil, fmt.Errorf("find cursors: %w", err)
	}
	objects, err := b.List(ctx, key)
	if err != nil {
		return 0, nil, fmt.Errorf("find cursors: %w", err)
	}
	best, found := uint64(0), ""
	for _, o := range objects {
		var at uint64
		name := strings.TrimPrefix(o.Key, strings.TrimSuffix(key, "cursors/"))
		if _, err := fmt.Sscanf(name, "cursors/step-%d.json", &at); err != nil ||
			name != cursorsName(at) {
			continue
		}
		if at < step && at > best {
			best, found = at, o.Key
		}
	}
	if found == "" {
		return 0, nil, nil
	}
	data, err := readAll(ctx, b, found, maxCursors)
	if err != nil {
		return 0, nil, fmt.Errorf("read cursors: %w", err)
	}
	var cursors []json.RawMessage
	if err := json.Unmarshal(data, &cursors); err != nil {
		return 0, nil, fmt.Errorf("read cursors %s/%s: %w", dir, cursorsName(best), err)
	}
	return best, cursors, nil
}
