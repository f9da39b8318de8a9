package source

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// DefaultMaxRecord is the length of the longest record, in bytes, unless the spec says otherwise.
const DefaultMaxRecord = 16 << 20

// Options are what the order of a source depends on beside its manifest.
type Options struct {
	Seed      uint64
	Slots     int   // B, the global batch
	MaxRecord int64 // bytes of the longest record; 0: DefaultMaxRecord
	// Once reads the blocks in the order in which they lie in the files, each once: after the last,
	// a Reader fails with ErrExhausted. Seed and the manifest's max_epochs do not matter.
	Once bool
}

// Source is one pinned source, ready to be read. It is safe for concurrent use; its Readers are
// not, each belongs to one goroutine at a time.
type Source struct {
	name      string
	field     string
	seed      uint64
	slots     uint64
	maxRecord int64
	window    int64 // bytes a range read; a field so that tests can make it small
	maxEpochs float64
	limit     uint64 // block numbers from here on lie beyond max_epochs
	once      bool   // blocks are in file order
	layout    Layout
	files     []*file

	mu     sync.Mutex
	barren map[uint64]bool // blocks known to hold no start of a document
}

// Open prepares a source for reading. It checks the manifest, but touches no file.
func Open(stores store.Opener, m *pb.SourceManifest, o Options) (*Source, error) {
	if o.Slots < 1 {
		return nil, fmt.Errorf("open source %q: %d slots: want at least 1", m.GetName(), o.Slots)
	}
	s := &Source{
		name: m.GetName(), field: m.GetTextField(), seed: o.Seed, slots: uint64(o.Slots),
		maxRecord: o.MaxRecord, maxEpochs: m.GetMaxEpochs(), limit: math.MaxInt64,
		window: windowBytes,
		barren: map[uint64]bool{},
	}
	if s.field == "" {
		s.field = "text"
	}
	if s.maxRecord <= 0 {
		s.maxRecord = DefaultMaxRecord
	}
	var sizes []uint64
	for _, pinned := range m.GetFiles() {
		bucket, key, err := stores.Open(pinned.GetUri())
		if err != nil {
			return nil, fmt.Errorf("open source %q: %w", s.name, err)
		}
		s.files = append(s.files, &file{
			uri: pinned.GetUri(), bucket: bucket, key: key,
			size: int64(pinned.GetSize()), etag: pinned.GetEtag(),
		})
		sizes = append(sizes, pinned.GetSize())
	}
	var err error
	if s.layout, err = NewLayout(m.GetBlockBytes(), sizes); err != nil {
		return nil, fmt.Errorf("open source %q: %w", s.name, err)
	}
	k := s.layout.Blocks()
	if k == 0 || k != m.GetBlocks() {
		return nil, fmt.Errorf("open source %q: its files make %d blocks of %d bytes, the manifest "+
			"says %d: pin the corpus again", s.name, k, m.GetBlockBytes(), m.GetBlocks())
	}
	if s.once = o.Once; s.once {
		s.maxEpochs = 1
	}
	if s.maxEpochs > 0 && s.maxEpochs < float64(math.MaxInt64/k) {
		s.limit = uint64(math.Ceil(s.maxEpochs * float64(k)))
	}
	return s, nil
}

// Name is the name of the source.
func (s *Source) Name() string { return s.name }

// Blocks is K, the number of blocks of an epoch.
func (s *Source) Blocks() uint64 { return s.layout.Blocks() }

// Once says whether the source ends after one pass.
func (s *Source) Once() bool { return s.once }

// block returns the index of the block with this number.
func (s *Source) block(number uint64) uint64 {
	k := s.layout.Blocks()
	if s.once {
		return number % k
	}
	return NewPermutation(k, s.seed, s.name, number/k).At(number % k)
}

func (s *Source) isBarren(block uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barren[block]
}

// markBarren remembers a block without documents. Once all are known there is nothing to read,
// and looking on would never end.
func (s *Source) markBarren(block uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barren[block] = true
	if k := s.layout.Blocks(); uint64(len(s.barren)) == k {
		return fmt.Errorf("read source %q: %w: not one document with text in its %d files "+
			"(first: %s): check the uri and the text_field", s.name, ErrInvalid, len(s.files),
			s.files[0].uri)
	}
	return nil
}

// file is one pinned file.
type file struct {
	uri    string
	bucket store.Bucket
	key    string
	size   int64
	etag   string // S3's, or sha256:<hex> of a plain file

	mu       sync.Mutex
	verified bool
}

// read fills p from off, and fails with store.ErrChanged if the file is not what was pinned.
func (f *file) read(ctx context.Context, off int64, p []byte) error {
	if strings.HasPrefix(f.etag, "sha256:") {
		if err := f.verify(ctx); err != nil {
			return err
		}
	}
	return f.bucket.ReadRange(ctx, f.key, off, p, f.etag)
}

// verify checks a hash over the whole file once, by one reader while the others wait: the store
// remembers hashes, but would compute one for each reader that comes first.
func (f *file) verify(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verified {
		return nil
	}
	info, err := f.bucket.Stat(ctx, f.key)
	if err != nil {
		return err
	}
	if info.Size != f.size || info.ETag != f.etag {
		return fmt.Errorf("%w: pinned %d bytes %s, found %d bytes %s: restore it, or launch a new "+
			"run", store.ErrChanged, f.size, f.etag, info.Size, info.ETag)
	}
	f.verified = true
	return nil
}
