package dataset

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

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
		Name: spec.GetName(), Lang: spec.GetLang(), TextField: spec.GetTextField(),
		MaxEpochs: spec.GetMaxEpochs(), Files: files,
	}
	if m.TextField == "" {
		m.TextField = "text"
	}
	var sizes []uint64
	var total uint64
	for _, f := range files {
		sizes = append(sizes, f.GetSize())
		total += f.GetSize()
	}
	if total == 0 {
		return nil, fmt.Errorf("%s: all %d files are empty", spec.GetUri(), len(files))
	}
	m.BlockBytes = source.BlockBytes(total, int(globalBatch))
	layout, err := source.NewLayout(m.BlockBytes, sizes)
	if err != nil {
		return nil, err
	}
	m.Blocks = layout.Blocks()
	if m.Blocks < uint64(globalBatch) {
		return nil, fmt.Errorf("%s: %d bytes make %d blocks of %d bytes, but each of the %d slots "+
			"(train.global_batch) needs a block of its own: give the source at least %d bytes, or "+
			"lower train.global_batch to %d (staging of small sources is not there yet)",
			spec.GetUri(), total, m.Blocks, m.BlockBytes, globalBatch,
			m.BlockBytes*uint64(globalBatch), m.Blocks)
	}
	return m, nil
}

// pinFiles lists the files of a URI whose last element may hold * and ?.
func pinFiles(ctx context.Context, op store.Opener, uri string) ([]*pb.PinnedFile, error) {
	if uri == "" {
		return nil, errors.New("uri is empty: give file:///path/*.jsonl or s3://bucket/key")
	}
	bucket, key, err := op.Open(uri)
	if err != nil {
		return nil, err
	}
	folder, pattern := uri[:strings.LastIndexByte(uri, '/')+1], uri[strings.LastIndexByte(uri, '/')+1:]
	if strings.ContainsAny(folder, "*?") {
		return nil, fmt.Errorf("%s: * and ? may stand in the last element of the path only", uri)
	}
	if wild := strings.IndexAny(pattern, "*?"); wild >= 0 {
		prefix := strings.TrimSuffix(key, pattern)
		infos, err := bucket.List(ctx, prefix+pattern[:wild])
		if err != nil {
			return nil, err
		}
		return pinListed(ctx, bucket, folder, prefix, pattern, infos)
	}
	if err := checkFormat(uri); err != nil {
		return nil, err
	}
	info, err := bucket.Stat(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: check the uri (a folder is written as %s/*.jsonl)", err, uri)
	}
	if err != nil {
		return nil, err
	}
	return []*pb.PinnedFile{{Uri: uri, Size: uint64(info.Size), Etag: info.ETag}}, nil
}

func pinListed(
	ctx context.Context, bucket store.Bucket, folder, prefix, pattern string, infos []store.Info,
) ([]*pb.PinnedFile, error) {
	var files []*pb.PinnedFile
	for _, info := range infos {
		name := strings.TrimPrefix(info.Key, prefix)
		if strings.Contains(name, "/") || !matches(pattern, name) {
			continue
		}
		if err := checkFormat(folder + name); err != nil {
			return nil, err
		}
		files = append(files, &pb.PinnedFile{
			Uri: folder + name, Size: uint64(info.Size), Etag: info.ETag,
		})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s%s: %w: no file matches: check the uri", folder, pattern,
			store.ErrNotFound)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, f := range files {
		if f.Etag != "" {
			continue
		}
		group.Go(func() error { // a listing of files has no hashes
			info, err := bucket.Stat(ctx, prefix+strings.TrimPrefix(f.Uri, folder))
			f.Size, f.Etag = uint64(info.Size), info.ETag
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return files, nil
}

// checkFormat refuses what is known not to be plain JSON lines.
func checkFormat(uri string) error {
	for _, suffix := range []string{".gz", ".zst", ".bz2", ".xz", ".zip", ".parquet"} {
		if strings.HasSuffix(strings.ToLower(uri), suffix) {
			return fmt.Errorf("%s: %s files are not read yet: unpack them to .jsonl", uri, suffix)
		}
	}
	return nil
}

// matches tells whether name matches a pattern of *, ? and plain characters.
func matches(pattern, name string) bool {
	p, n := []rune(pattern), []rune(name)
	i, k := 0, 0
	star, mark := -1, 0 // the last star seen, and what it has swallowed up to
	for k < len(n) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, k
			i++
		case i < len(p) && (p[i] == '?' || p[i] == n[k]):
			i, k = i+1, k+1
		case star >= 0:
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
