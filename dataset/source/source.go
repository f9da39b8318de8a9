package source

import (
	"cmp"
	"fmt"
	"math"
	"slices"
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
	// Window is how much a Reader holds of its block, in bytes, where records are shorter; 0:
	// MaxWindow. It does not matter to what is read, only to the number of range reads.
	Window int64
	// Once reads the blocks in the order in which they lie in the files, each once: after the last,
	// a Reader fails with ErrExhausted. Seed and the manifest's max_epochs do not matter.
	Once bool
	// Until, with Once, is the block number that a Reader stops before, with ErrExhausted; 0: none.
	Until uint64
	// Bad, if set, is told of records that cannot be used, and readers go on behind them: behind the
	// block where its rest cannot be read either. With nothing else to read that has no end, so it
	// is for Once. Readers may call it at the same time.
	Bad func(*RecordError)
}

// Source is one pinned source, ready to be read. It is safe for concurrent use; its Readers are
// not, each belongs to one goroutine at a time.
type Source struct {
	name      string
	path      []string            // of the text field
	normalize func(string) string // nil: nothing to do
	replace   bool                // invalid UTF-8 becomes U+FFFD
	seed      uint64
	slots     uint64
	maxRecord int64
	window    int64 // bytes a range read; a field so that tests can make it small
	maxEpochs float64
	limit     uint64 // block numbers from here on lie beyond max_epochs
	once      bool   // blocks are in file order
	bad       func(*RecordError)
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
		name: m.GetName(), path: ParsePath(cmp.Or(m.GetTextField(), "text")),
		replace: m.GetInvalidUtf8() == pb.InvalidUtf8_REPLACE,
		seed:    o.Seed, slots: uint64(o.Slots),
		maxRecord: o.MaxRecord, maxEpochs: m.GetMaxEpochs(), limit: math.MaxInt64,
		window: MaxWindow, bad: o.Bad,
		barren: map[uint64]bool{},
	}
	if s.maxRecord <= 0 {
		s.maxRecord = DefaultMaxRecord
	}
	if o.Window > 0 {
		s.window = min(max(o.Window, MinWindow), MaxWindow)
	}
	for _, pinned := range m.GetFiles() {
		f, err := openFile(stores, pinned, m.GetDocument())
		if err != nil {
			return nil, fmt.Errorf("open source %q: %w", s.name, err)
		}
		s.files = append(s.files, f)
	}
	var err error
	if s.normalize, err = normalizer(m.GetNormalize()); err != nil {
		return nil, fmt.Errorf("open source %q: %w", s.name, err)
	}
	if s.layout, err = NewLayout(m.GetBlockBytes(), m.GetFiles()); err != nil {
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
	if s.once && o.Until > 0 {
		s.limit = min(s.limit, o.Until)
	}
	return s, nil
}

// Name is the name of the source.
func (s *Source) Name() string { return s.name }

// Blocks is K, the number of blocks of an epoch.
func (s *Source) Blocks() uint64 { return s.layout.Blocks() }

// CountsFileBytes says whether offsets are bytes of the files: not of compressed ones, nor of
// parquet, whose offsets are rows.
func (s *Source) CountsFileBytes() bool {
	return !slices.ContainsFunc(s.files, func(f *file) bool {
		return f.compression != pb.Compression_COMPRESSION_UNSPECIFIED || f.format == pb.Format_PARQUET
	})
}

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

// open returns the records of a block, from the one at an offset on.
func (s *Source) open(e Extent, offset int64) (records, parse) {
	f := s.files[e.File]
	parse := s.parserOf(f)
	switch {
	case f.format == pb.Format_PARQUET:
		return newRows(s, f, e, offset), parse
	case f.document == pb.Document_FILE:
		return newWhole(s, f, e), parse
	case f.document == pb.Document_PARAGRAPH:
		return newParagraphs(newLines(s, f, e, offset)), parse
	}
	return newLines(s, f, e, offset), parse
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
