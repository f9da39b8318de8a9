package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/tokenize"
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
			Lang: set.GetLang(), TextField: set.GetTextField(), Format: set.GetFormat(),
			Document: set.GetDocument(), Normalize: set.GetNormalize(),
			InvalidUtf8: set.GetInvalidUtf8()}, 1)
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

// SetConfig says what a Set delivers.
type SetConfig struct {
	Manifest     *pb.SourceManifest // of PinSets
	SeqLen       int                // inputs a sequence
	BOS          bool               // put BOS before each document
	DocMask      bool               // hide other documents (pack)
	MaxRecord    int64              // bytes of the longest record; 0: source.DefaultMaxRecord
	MaxSequences int                // the first so many; 0: all
	Tokenizer    tokenize.Tokenizer
	Stores       store.Opener
}

// ID names what a set's sequences are made of: contents, but not the place, of the files, and all
// that cuts them.
func (c *SetConfig) ID() string {
	h := sha256.New()
	fmt.Fprintf(h, "banyan set v1\n%q %d %d %v %v %d\n", c.Manifest.GetTextField(), c.SeqLen,
		c.MaxSequences, c.BOS, c.DocMask, c.Tokenizer.VocabSize())
	contents(h, c.Manifest)
	for _, how := range howRead(c.Manifest) {
		fmt.Fprintf(h, "%s\n", how)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Set delivers the sequences of a held-out set: its documents in the order of its files, packed as
// for training, from the first on, once. The order depends on nothing else. It holds one sequence
// and one window of a file. One goroutine at a time uses it.
type Set struct {
	lane *readLane
	left int // sequences; -1: all
}

// OpenSet opens a held-out set. It reads nothing yet.
func OpenSet(c SetConfig) (*Set, error) {
	set, err := openSet(c)
	if err != nil {
		return nil, fmt.Errorf("open held-out set %q: %w", c.Manifest.GetName(), err)
	}
	return set, nil
}

func openSet(c SetConfig) (*Set, error) {
	cfg := &Config{Corpus: &pb.Corpus{Sources: []*pb.SourceManifest{c.Manifest}}, SeqLen: c.SeqLen,
		GlobalBatch: 1, BOS: c.BOS, DocMask: c.DocMask, MaxRecord: c.MaxRecord,
		Tokenizer: c.Tokenizer, Stores: c.Stores}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	src, err := source.Open(c.Stores, c.Manifest,
		source.Options{Slots: 1, MaxRecord: c.MaxRecord, Once: true})
	if err != nil {
		return nil, err
	}
	l, err := newReadLane(cfg, 0, 0, src, Position{})
	if err != nil {
		return nil, err
	}
	left := c.MaxSequences
	if left <= 0 {
		left = -1
	}
	return &Set{lane: l, left: left}, nil
}

// Next returns the next sequence, or io.EOF behind the last. The last one of the set is padded
// with masked inputs. A set without any document is an error that names the files. Any error but
// the context's is final.
func (s *Set) Next(ctx context.Context) (Sequence, error) {
	if s.left == 0 {
		return Sequence{}, io.EOF
	}
	sequence, err := s.lane.next(ctx)
	if errors.Is(err, pack.ErrEnd) {
		s.left, err = 0, io.EOF
	}
	if err == nil && s.left > 0 {
		s.left--
	}
	if s.left == 0 {
		s.lane.reader.Close()
	}
	return sequence, err
}
