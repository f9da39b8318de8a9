package dataset

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// A sample is taken at so many places of a source, so much text at each: 4 MiB in all, which takes
// a tokenizer a second or two.
const (
	samplePlaces = 64
	sampleBytes  = 64 << 10
	// sampleLooks bounds how many blocks are looked into for a place with text.
	sampleLooks = 8 * samplePlaces
	sampledOnce = 4 // sources at the same time
)

// NeedsSample says whether a source must be measured before a run can be planned: to convert
// weights, or to hold max_epochs against what the plan would read.
func NeedsSample(data *pb.Data, i int) bool {
	unit := data.GetWeightUnit()
	return unit == pb.WeightUnit_BYTES || unit == pb.WeightUnit_DOCUMENTS ||
		data.GetSources()[i].GetMaxEpochs() > 0
}

// Measure puts samples into the corpus of a configuration, for the sources that need one. They
// depend on nothing but the configuration.
func Measure(ctx context.Context, cfg Config, data *pb.Data) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sampledOnce)
	for i, m := range cfg.Corpus.GetSources() {
		if !NeedsSample(data, i) {
			continue
		}
		group.Go(func() (err error) {
			if m.Sample, err = measure(ctx, &cfg, m); err != nil {
				err = fmt.Errorf("measure source %q: %w", m.GetName(), err)
			}
			return err
		})
	}
	return group.Wait()
}

// sampler counts what is read of one source.
type sampler struct {
	cfg    *Config
	src    *source.Source
	sample pb.Sample
	buffer []int32
	whole  bool // every block so far was read to its end
	// Bytes of the file from one record to the next, and their tokens: what the size of the source
	// is measured by, where offsets are bytes of the file.
	rawBytes, rawTokens uint64
}

func measure(ctx context.Context, cfg *Config, m *pb.SourceManifest) (*pb.Sample, error) {
	endless := proto.CloneOf(m)
	endless.MaxEpochs = 0 // a reader looks one record past the end of its block
	src, err := source.Open(cfg.Stores, endless, source.Options{Seed: cfg.Seed, Slots: cfg.GlobalBatch,
		MaxRecord: cfg.MaxRecord})
	if err != nil {
		return nil, err
	}
	s := &sampler{cfg: cfg, src: src, whole: true}
	looks := min(src.Blocks(), sampleLooks)
	places, number := 0, uint64(0)
	for ; number < looks && places < samplePlaces; number++ {
		found, err := s.place(ctx, number)
		if err != nil {
			return nil, err
		}
		if found {
			places++
		}
	}
	if s.sample.Documents == 0 {
		return nil, fmt.Errorf("no document starts in %d of its %d blocks: write "+
			"data.weight_unit: tokens and no max_epochs, or cut its documents", looks, src.Blocks())
	}
	switch {
	case s.whole && number == src.Blocks():
		s.sample.SourceTokens = s.sample.Tokens
	case s.rawBytes > 0 && src.CountsFileBytes():
		var size uint64
		for _, f := range m.GetFiles() {
			size += f.GetSize()
		}
		rate := float64(s.rawTokens) / float64(s.rawBytes)
		s.sample.SourceTokens = uint64(rate * float64(size))
	}
	return &s.sample, nil
}

// place samples the first documents of one block.
func (s *sampler) place(ctx context.Context, number uint64) (found bool, err error) {
	reader, err := s.src.Reader(int(number%uint64(s.cfg.GlobalBatch)), number, 0)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	var before source.Document
	tokens := uint64(0) // of before
	for text := 0; ; {
		doc, err := reader.Next(ctx)
		if err != nil {
			return false, err
		}
		if doc.Block != number {
			return found, nil
		}
		if found {
			s.rawBytes += uint64(doc.Offset - before.Offset)
			s.rawTokens += tokens
		}
		if text >= sampleBytes {
			s.whole = false
			return true, nil
		}
		found, before = true, doc
		text += len(doc.Text)
		s.buffer = s.cfg.tokens(s.buffer[:0], doc.Text)
		tokens = uint64(len(s.buffer))
		s.sample.Documents++
		s.sample.Bytes += uint64(len(doc.Text))
		s.sample.Tokens += tokens
	}
}
