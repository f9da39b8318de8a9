package source

import (
	"context"
	"errors"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// Bounds of a look at a source: a small one is read whole, of a large one so many blocks.
const (
	lookBytes  = 16 << 20
	lookBlocks = 64
)

// Starts says about how many blocks of a source a document starts in: few, where documents are
// long. Files that are cut at their records are taken at their word. A small source is counted, a
// large one judged by some blocks that lie evenly in it. The answer depends on nothing but the
// manifest and the files.
func Starts(ctx context.Context, stores store.Opener, m *pb.SourceManifest) (uint64, error) {
	s, err := Open(stores, m, Options{Slots: 1, Once: true})
	if err != nil {
		return 0, err
	}
	k := s.Blocks()
	if len(s.files) == 0 || !s.cutAnywhere() {
		return k, nil
	}
	looks := k
	if k > lookBytes/m.GetBlockBytes() {
		looks = min(k, lookBlocks)
	}
	found := uint64(0)
	for i := range looks {
		has, err := s.starts(ctx, i*k/looks)
		if err != nil {
			return 0, err
		}
		if has {
			found++
		}
	}
	return uint64(float64(found) / float64(looks) * float64(k)), nil
}

// Probe reads the first document of a source, in the order of its files.
func Probe(ctx context.Context, stores store.Opener, m *pb.SourceManifest, maxRecord int64) error {
	s, err := Open(stores, m, Options{Slots: 1, Once: true, MaxRecord: maxRecord, Window: MinWindow})
	if err != nil {
		return err
	}
	r, err := s.Reader(0, 0, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Next(ctx)
	return err
}

// cutAnywhere says whether blocks may begin inside a record.
func (s *Source) cutAnywhere() bool {
	for _, f := range s.files {
		if f.compression != pb.Compression_COMPRESSION_UNSPECIFIED || f.format == pb.Format_PARQUET ||
			f.document == pb.Document_FILE {
			return false
		}
	}
	return true
}

// starts says whether a document starts in a block. One that cannot be read does too: whoever
// reads it has to say so.
func (s *Source) starts(ctx context.Context, block uint64) (bool, error) {
	records, parse := s.open(s.layout.Extent(block), 0)
	defer records.close()
	for {
		raw, _, err := records.next(ctx)
		var bad *problem
		switch {
		case errors.Is(err, errEndOfBlock):
			return false, nil
		case errors.As(err, &bad):
			return true, nil
		case err != nil:
			return false, err
		}
		if text, bad := parse(raw); bad != nil || text != "" {
			return true, nil
		}
	}
}
