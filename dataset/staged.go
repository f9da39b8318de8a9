package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math"
	"slices"
	"sort"

	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/dataset/stage"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// A staged source is cut into bundles of consecutive blocks, of about so many bytes of its files.
// Each is packed by itself, so that ranks share the work; the last sequence of each is padded. A
// variable so that tests can make it small.
var bundleBytes = 64e6

// bundle is a range of blocks [first, until) in the order of the files.
type bundle struct{ first, until uint64 }

// bundlesOf cuts a source. It is a function of its manifest.
func bundlesOf(m *pb.SourceManifest) ([]bundle, error) {
	layout, err := source.NewLayout(m.GetBlockBytes(), m.GetFiles())
	if err != nil {
		return nil, err
	}
	var bundles []bundle
	first, size := uint64(0), 0.0
	for b := range layout.Blocks() {
		e := layout.Extent(b)
		f := m.GetFiles()[e.File]
		share := float64(e.End - e.Start)
		if f.GetFormat() == pb.Format_PARQUET { // of its rows
			rows := uint64(0)
			for _, n := range f.GetBlockSizes() {
				rows += n
			}
			share *= float64(f.GetSize()) / float64(max(rows, 1))
		}
		if size += share; size >= bundleBytes || b+1 == layout.Blocks() {
			bundles = append(bundles, bundle{first, b + 1})
			first, size = b+1, 0
		}
	}
	return bundles, nil
}

// made is the digest of all that the sequences of a staged source depend on.
func (c *Config) made(m *pb.SourceManifest) hash.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "banyan staged v1\n%d %v %v %d\n%q\n%q\n", c.SeqLen, c.BOS,
		c.Packing == pb.Packing_BEST_FIT, m.GetBlockBytes(), c.TokenizerID, m.GetTextField())
	contents(h, m)
	for _, how := range howRead(m) {
		fmt.Fprintf(h, "%q\n", how)
	}
	return h
}

// folder is the name of the folder that a staged source lies in.
func (c *Config) folder(m *pb.SourceManifest) string {
	return fmt.Sprintf("%.16x", c.made(m).Sum(nil))
}

// series is where a bundle's sequences lie, and what they are made of.
func (c *Config) series(m *pb.SourceManifest, i int, b bundle,
) (bucket store.Bucket, prefix, id string, err error) {
	h := c.made(m)
	bucket, prefix, err = c.Stores.Open(fmt.Sprintf("%s/%s/bundle-%05d", c.Stage, c.folder(m), i))
	if err != nil {
		return nil, "", "", err
	}
	fmt.Fprintf(h, "%d %d\n", b.first, b.until)
	return bucket, prefix, fmt.Sprintf("%x", h.Sum(nil)), nil
}

// contents names the contents of files, but not where they lie.
func contents(h hash.Hash, m *pb.SourceManifest) {
	for _, f := range m.GetFiles() {
		fmt.Fprintf(h, "%d %q\n", f.GetSize(), f.GetEtag())
	}
}

// ErrNotStaged is what opening a stream fails with where a staged source is yet to be made (Stage).
var ErrNotStaged = errors.New("not staged yet")

// Array holds the sequences of a staged source, by their number. Safe for concurrent use.
type Array struct {
	Passes uint64 // how often each document is in it

	source string
	seed   uint64
	series []*stage.Series
	first  []uint64 // of each series: its first sequence; and their number
}

// OpenStaged opens what was made of a staged source. It fails with ErrNotStaged where a part of it
// is missing.
func (c *Config) OpenStaged(ctx context.Context, m *pb.SourceManifest) (*Array, error) {
	bundles, err := bundlesOf(m)
	if err != nil {
		return nil, err
	}
	a := &Array{source: m.GetName(), seed: c.Seed, first: []uint64{0}, Passes: 1}
	for i, b := range bundles {
		bucket, prefix, id, err := c.series(m, i, b)
		if err != nil {
			return nil, err
		}
		s, err := stage.Open(ctx, bucket, prefix, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("source %q: %s: %w", m.GetName(), prefix, ErrNotStaged)
		}
		if err != nil {
			return nil, fmt.Errorf("open staged source %q: %w", m.GetName(), err)
		}
		a.series = append(a.series, s)
		a.first = append(a.first, a.first[i]+s.Sequences)
		a.Passes = max(a.Passes, s.Passes)
	}
	if a.Sequences() == 0 {
		return nil, fmt.Errorf("open staged source %q: %w: not one document with text in its %d files "+
			"(first: %s): check the uri and the text_field", m.GetName(), source.ErrInvalid,
			len(m.GetFiles()), m.GetFiles()[0].GetUri())
	}
	return a, nil
}

// Sequences is how many there are.
func (a *Array) Sequences() uint64 { return a.first[len(a.series)] }

// Begins says whether a series begins with a sequence: it does not go on where the one before ends.
func (a *Array) Begins(number uint64) bool {
	_, found := slices.BinarySearch(a.first, number)
	return found
}

// At is which sequence is read as the n-th over all epochs: in each all of them, in an order of
// its own.
func (a *Array) At(n uint64) uint64 {
	k := a.Sequences()
	return source.NewPermutation(k, a.seed, a.source, n/k).At(n % k)
}

// Read returns a sequence by its number. Invariant: number < Sequences().
func (a *Array) Read(ctx context.Context, number uint64) (stage.Sequence, error) {
	i := sort.Search(len(a.series), func(i int) bool { return a.first[i+1] > number })
	return a.series[i].Read(ctx, number-a.first[i])
}

// stagedLane is the series of one slot of a staged source: slot b reads the sequences b, b+B, ...
// of the endless series of epochs, in each of which all sequences are permuted. Its position is a
// number of that series.
type stagedLane struct {
	slot   Slot
	index  int // of the source
	cfg    *Config
	array  *Array
	number uint64 // of the endless series
	limit  uint64 // what lies beyond max_epochs
	most   float64
}

func newStagedLane(c *Config, slot Slot, index int, array *Array, at Position,
) (*stagedLane, error) {
	l := &stagedLane{slot: slot, index: index, cfg: c, array: array, number: at.Block,
		limit: math.MaxUint64, most: c.Corpus.GetSources()[index].GetMaxEpochs()}
	if at.Block%uint64(c.GlobalBatch) != uint64(slot) || at.Offset != 0 || at.Token != 0 {
		return nil, fmt.Errorf("seek staged source %q: %v is no place of slot %d", array.source, at,
			slot)
	}
	if sequences := l.most / float64(array.Passes) * float64(array.Sequences()); sequences > 0 &&
		sequences < math.MaxInt64 {
		l.limit = uint64(math.Ceil(sequences))
	}
	return l, nil
}

func (l *stagedLane) position() Position { return Position{Block: l.number} }

func (l *stagedLane) next(ctx context.Context) (Sequence, error) {
	if l.number >= l.limit {
		return Sequence{}, fmt.Errorf("read source %q: %w: its %g epochs (max_epochs) are over: add "+
			"text, raise max_epochs, lower its weight or train fewer tokens", l.array.source,
			source.ErrExhausted, l.most)
	}
	s, err := l.array.Read(ctx, l.array.At(l.number))
	if errors.Is(err, stage.ErrDamaged) {
		err = fmt.Errorf("%w: %w", source.ErrInvalid, err) // reading it again will not help
	}
	if err != nil {
		return Sequence{}, fmt.Errorf("slot %d: %w", l.slot, err)
	}
	l.number += uint64(l.cfg.GlobalBatch)
	return l.cfg.sequence(l.slot, l.index,
		pack.Restore(l.cfg.SeqLen, l.cfg.DocMask, s.Tokens, s.Spans)), nil
}

func (l *stagedLane) close() {}
