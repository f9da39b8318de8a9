package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/store"
)

// ErrCorrupt marks a checkpoint that must not be used: an object is missing, truncated or changed.
// The error names the object's URI. Retrying does not help; an older checkpoint does.
var ErrCorrupt = errors.New("checkpoint is corrupt")

// Dir is the folder of one checkpoint, without a slash at its end:
// "<to>/<run>/step-00000040/gen-2".
func Dir(to, run string, step, generation uint64) string {
	return fmt.Sprintf("%s/%s/step-%08d/gen-%d", strings.TrimRight(to, "/"), run, step, generation)
}

// ManifestURI is where the manifest of the checkpoint in dirURI is.
func ManifestURI(dirURI string) string { return join(dirURI, manifest.Name) }

func join(dirURI, key string) string { return strings.TrimRight(dirURI, "/") + "/" + key }

// checkpointDir is what Dir makes.
var checkpointDir = regexp.MustCompile(`/step-[0-9]{8,}/gen-[0-9]+/?$`)

// Delete removes a checkpoint that Raft has retired, and everything else below its folder (objects
// of ranks that died before the commit). It may be repeated: a second call finishes the first.
//
// The manifest goes first. A crash after it leaves objects that no manifest names, which a repeat
// finds by their prefix; the other order would leave a manifest that looks like a checkpoint and
// names objects that are gone. It refuses a folder that is not a checkpoint's.
func Delete(ctx context.Context, op store.Opener, dirURI string) error {
	if !checkpointDir.MatchString(dirURI) {
		return fmt.Errorf("delete checkpoint %s: not a folder .../step-<n>/gen-<g>", dirURI)
	}
	b, key, err := op.Open(ManifestURI(dirURI))
	if err != nil {
		return fmt.Errorf("delete checkpoint: %w", err)
	}
	if err := b.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete checkpoint: %w", err)
	}
	prefix := strings.TrimSuffix(key, manifest.Name)
	objects, err := b.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("delete checkpoint: %w", err)
	}
	for _, o := range objects {
		if err := b.Delete(ctx, o.Key); err != nil {
			return fmt.Errorf("delete checkpoint: %w", err)
		}
	}
	return nil
}

// Commit writes the manifest, last of all objects. Exactly one manifest can ever be at a place: if
// there is one already it is read and compared, and equal bytes are success, as an earlier try of
// this commit may have been applied without its answer arriving. Different bytes fail with
// store.ErrExists (I1). Commit does not look at the objects the manifest names: their writers
// reported them durable.
func Commit(
	ctx context.Context, op store.Opener, dirURI string, m *manifest.Manifest,
) (uri, digest string, err error) {
	data, err := m.Encode()
	if err != nil {
		return "", "", fmt.Errorf("commit checkpoint: %w", err)
	}
	uri, digest = ManifestURI(dirURI), manifest.Digest(data)
	b, key, err := op.Open(uri)
	if err != nil {
		return "", "", fmt.Errorf("commit checkpoint: %w", err)
	}
	_, err = b.Put(ctx, key, strings.NewReader(string(data)), int64(len(data)), true)
	if err == nil {
		return uri, digest, nil
	}
	if !errors.Is(err, store.ErrExists) {
		return "", "", fmt.Errorf("commit checkpoint: %w", err)
	}
	there, rerr := readAll(ctx, b, key, manifest.MaxBytes)
	if rerr != nil {
		return "", "", fmt.Errorf("commit checkpoint: %s exists, compare it: %w", uri, rerr)
	}
	if got := manifest.Digest(there); got != digest {
		return "", "", fmt.Errorf("commit checkpoint: %s holds another checkpoint (digest %s, "+
			"ours is %s): another writer committed this step and generation first: %w",
			uri, got, digest, store.ErrExists)
	}
	return uri, digest, nil
}

// readAll reads a whole object, pinned to the version its size was taken from.
func readAll(ctx context.Context, b store.Bucket, key string, limit int64) ([]byte, error) {
	info, err := b.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, limit %d", key, info.Size, limit)
	}
	data := make([]byte, info.Size)
	return data, b.ReadRange(ctx, key, 0, data, info.ETag)
}
