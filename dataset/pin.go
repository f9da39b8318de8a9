package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// Pin makes the manifest of a corpus: the files of each source with size and etag, their blocks,
// and the shares of the sources, unless weights in bytes or documents need samples first (Measure,
// Weigh). It reports the errors of all sources at once, each with the source's name and a fix.
// Files are pinned in the order of their names.
func Pin(
	ctx context.Context, op store.Opener, data *pb.Data, globalBatch uint32,
) (*pb.Corpus, error) {
	if globalBatch == 0 {
		return nil, errors.New("pin corpus: train.global_batch is 0")
	}
	corpus := &pb.Corpus{}
	var all []error
	for _, spec := range data.GetSources() {
		m, err := pinSource(ctx, op, spec, globalBatch)
		if err != nil {
			all = append(all, fmt.Errorf("pin source %q: %w", spec.GetName(), err))
			continue
		}
		corpus.Sources = append(corpus.Sources, m)
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	if unit := data.GetWeightUnit(); unit == pb.WeightUnit_BYTES || unit == pb.WeightUnit_DOCUMENTS {
		return corpus, nil
	}
	if err := Weigh(corpus, data, globalBatch); err != nil {
		return nil, fmt.Errorf("pin corpus: %w", err)
	}
	return corpus, nil
}

func pinSource(
	ctx context.Context, op store.Opener, spec *pb.Source, globalBatch uint32,
) (*pb.SourceManifest, error) {
	files, err := pinFiles(ctx, op, spec.GetUri())
	if err != nil {
		return nil, err
	}
	m := &pb.SourceManifest{
		Name: spec.GetName(), Lang: spec.GetLang(), TextField: cmp.Or(spec.GetTextField(), "text"),
		MaxEpochs: spec.GetMaxEpochs(), Files: files, Normalize: spec.GetNormalize(),
	}
	if spec.GetInvalidUtf8() == pb.InvalidUtf8_REPLACE {
		m.InvalidUtf8 = pb.InvalidUtf8_REPLACE
	}
	var total uint64
	for _, f := range files {
		format, compression, err := source.Kind(f.GetUri(), spec.GetFormat())
		if err != nil {
			return nil, err
		}
		if format != pb.Format_JSONL { // unset for JSON lines: they are as they always were
			f.Format = format
		}
		if f.Compression = compression; format == pb.Format_TXT {
			m.Document = cmp.Or(spec.GetDocument(), pb.Document_FILE)
		}
		total += f.GetSize()
	}
	if total == 0 {
		return nil, fmt.Errorf("%s: no text in it (files: %d, all empty): check the uri", spec.GetUri(),
			len(files))
	}
	m.BlockBytes = source.BlockBytes(total, int(globalBatch))
	if err := source.Cut(ctx, op, m); err != nil {
		return nil, err
	}
	layout, err := source.NewLayout(m.BlockBytes, files)
	if err != nil {
		return nil, err
	}
	m.Blocks = layout.Blocks()
	if m.Staged = m.Blocks < uint64(globalBatch); !m.Staged && globalBatch > 1 {
		starts, err := source.Starts(ctx, op, m)
		if err != nil {
			return nil, err
		}
		m.Staged = starts < uint64(globalBatch)
	}
	return m, nil
}

// Probe reads the first document of every source: a text_field that is not there, or a file that is
// not what its name says, would be found out by ranks only. It reports the errors of all sources.
func Probe(ctx context.Context, op store.Opener, corpus *pb.Corpus, maxRecord int64) error {
	var all []error
	for _, m := range corpus.GetSources() {
		all = append(all, source.Probe(ctx, op, m, maxRecord))
	}
	return errors.Join(all...)
}

// Kind tells what a file holds and how it is compressed, by its name (source.Kind).
func Kind(uri string, format pb.Format) (pb.Format, pb.Compression, error) {
	return source.Kind(uri, format)
}

// ParsePath splits a text_field at its dots (source.ParsePath).
func ParsePath(field string) []string { return source.ParsePath(field) }

// Normalizations are the steps that a normalize list may name.
func Normalizations() []string { return source.Normalizations }
