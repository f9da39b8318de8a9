package dataset

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// StagedFolder is what ranks have put somewhere of one staged source.
type StagedFolder struct {
	Name  string // says what it was made of: the same for all runs that can read it
	Bytes int64

	indexes, parts []string // keys
}

// stagedObject is a key that Stage makes, below the folder of staged sources.
var stagedObject = regexp.MustCompile(
	`^([0-9a-f]{32})/bundle-[0-9]{5,}/(index\.json|part-[0-9]{6,})$`)

// StagedNames are the names of the folders that the staged sources of a run lie in.
func StagedNames(r *pb.ResolvedRun) (names []string) {
	cfg := ConfigOf(r, nil, nil)
	for _, m := range r.GetCorpus().GetSources() {
		if m.GetStaged() {
			names = append(names, cfg.folder(m))
		}
	}
	return names
}

// StagedIn is where a run keeps staged sources.
func StagedIn(r *pb.ResolvedRun) string { return ConfigOf(r, nil, nil).Stage }

// StagedFolders lists what staged sources lie in a place (StagedIn), finished or not. Whatever else
// is there is left out.
func StagedFolders(ctx context.Context, op store.Opener, in string) ([]StagedFolder, error) {
	bucket, key, err := op.Open(in + "/x")
	if err != nil {
		return nil, fmt.Errorf("list staged sources: %w", err)
	}
	prefix := strings.TrimSuffix(key, "x")
	objects, err := bucket.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list staged sources: %w", err)
	}
	var out []StagedFolder
	for _, o := range objects { // by ascending key: those of a folder come together
		m := stagedObject.FindStringSubmatch(strings.TrimPrefix(o.Key, prefix))
		if m == nil {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Name != m[1] {
			out = append(out, StagedFolder{Name: m[1]})
		}
		f := &out[len(out)-1]
		f.Bytes += o.Size
		if m[2] == "index.json" {
			f.indexes = append(f.indexes, o.Key)
		} else {
			f.parts = append(f.parts, o.Key)
		}
	}
	return out, nil
}

// Unstage removes a folder that StagedFolders listed in the same place. No run may be reading it:
// to a rank, what is missing of it later is an error. A run that starts afterwards makes it again.
func Unstage(ctx context.Context, op store.Opener, in string, f StagedFolder) error {
	bucket, _, err := op.Open(in + "/x")
	if err != nil {
		return fmt.Errorf("remove staged source: %w", err)
	}
	// A bundle without its index is not there, whatever is left of it.
	for _, key := range slices.Concat(f.indexes, f.parts) {
		if err := bucket.Delete(ctx, key); err != nil {
			return fmt.Errorf("remove staged source: %w", err)
		}
	}
	return nil
}
