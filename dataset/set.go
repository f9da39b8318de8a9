package dataset

import (
	"context"
	"errors"
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// PinSets makes the manifests of held-out sets: their files with size and etag, in the order of
// their names. It reports the errors of all sets at once, each with the set's name.
func PinSets(
	ctx context.Context, op store.Opener, sets []*pb.EvalSet,
) ([]*pb.SourceManifest, error) {
	var manifests []*pb.SourceManifest
	var all []error
	for _, set := range sets {
		m, err := pinSource(ctx, op, &pb.Source{Name: set.GetName(), Uri: set.GetUri(),
			Lang: set.GetLang(), TextField: set.GetTextField()}, 1)
		if err != nil {
			all = append(all, fmt.Errorf("pin held-out set %q: %w", set.GetName(), err))
			continue
		}
		manifests = append(manifests, m)
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	return manifests, nil
}
