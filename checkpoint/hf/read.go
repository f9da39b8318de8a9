package hf

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// ErrChanged is in the chain of errors about files that are not what was pinned.
var ErrChanged = store.ErrChanged

// pieceElements is how many elements are read and converted at once: it bounds memory, and cuts
// the work of a large tensor for several goroutines.
const pieceElements = 1 << 20

// Read converts elements [lo,hi) of a tensor, counted in row-major order, into dst, which holds
// hi-lo. It fails with ErrChanged if the file is not the one that Load saw, and when an element is
// NaN or infinite. Files on a local disk are read through a mapping, by several goroutines.
func (f *Folder) Read(ctx context.Context, name string, lo, hi int, dst []float32) error {
	t, ok := f.tensors[name]
	if !ok {
		return fmt.Errorf("read tensor %q: not in %s", name, f.uri)
	}
	if lo < 0 || hi < lo || hi > t.Elements() || len(dst) != hi-lo {
		return fmt.Errorf("read tensor %s: elements [%d,%d) of %d into %d", name, lo, hi, t.Elements(),
			len(dst))
	}
	pieces := (hi - lo + pieceElements - 1) / pieceElements
	at := func(i int) error {
		from := lo + i*pieceElements
		to := min(hi, from+pieceElements)
		return t.read(ctx, from, dst[from-lo:to-lo])
	}
	if err := t.file.each(pieces, at); err != nil {
		return fmt.Errorf("read tensor %s: %w", name, err)
	}
	return nil
}

// read converts the elements from number from on that fill dst.
func (t placed) read(ctx context.Context, from int, dst []float32) error {
	width := t.DType.Size()
	err := t.file.view(ctx, t.Start+int64(from)*width, int64(len(dst))*width,
		func(p []byte) error { return safetensors.Decode(t.DType, dst, p) })
	if err != nil {
		return err
	}
	if i, ok := firstNonFinite(dst, safetensors.F32); ok {
		return fmt.Errorf("%s: element %d is %v; a model cannot be grown from it, take another copy or "+
			"an earlier checkpoint", t.file.uri, from+i, dst[i])
	}
	return nil
}

// open finds a file of the folder, pins it, and adds it to Files.
func (f *Folder) open(ctx context.Context, op store.Opener, name string) (*object, error) {
	uri := f.uri + "/" + name
	bucket, key, err := op.Open(uri)
	if err != nil {
		return nil, err
	}
	info, err := bucket.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	info.Key = key
	o := &object{uri: uri, bucket: bucket, info: info}
	f.files = append(f.files, o)
	return o, nil
}

func (o *object) read(ctx context.Context, off int64, p []byte) error {
	return o.bucket.ReadRange(ctx, o.info.Key, off, p, o.info.ETag)
}

func (o *object) readAll(ctx context.Context, limit int64) ([]byte, error) {
	if o.info.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", o.uri, o.info.Size, limit)
	}
	data := make([]byte, o.info.Size)
	if err := o.read(ctx, 0, data); err != nil {
		return nil, err
	}
	return data, nil
}

func (o *object) header(ctx context.Context) (*safetensors.Header, error) {
	h, err := safetensors.ReadHeader(ctx, o.info.Size, o.read)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.uri, err)
	}
	return h, nil
}

// Verify fails with ErrChanged, and the file's URI, if a pinned file has another size or ETag now.
func Verify(ctx context.Context, op store.Opener, pinned []*pb.PinnedFile) error {
	for _, p := range pinned {
		bucket, key, err := op.Open(p.Uri)
		if err != nil {
			return fmt.Errorf("verify %s: %w", p.Uri, err)
		}
		info, err := bucket.Stat(ctx, key)
		if err != nil {
			return fmt.Errorf("verify %s: %w", p.Uri, err)
		}
		if err := samePin(p, uint64(info.Size), info.ETag); err != nil {
			return err
		}
	}
	return nil
}

// Matches fails with ErrChanged unless the folder's files are exactly the pinned ones. Unlike
// Verify before Load it leaves no moment in between: later reads are pinned already.
func (f *Folder) Matches(pinned []*pb.PinnedFile) error {
	now := f.Files()
	if len(now) != len(pinned) {
		return fmt.Errorf("verify %s: %d files, pinned were %d: %w", f.uri, len(now), len(pinned),
			ErrChanged)
	}
	for i, p := range pinned {
		if p.Uri != now[i].Uri {
			return fmt.Errorf("verify %s: found %s in its place: %w", p.Uri, now[i].Uri, ErrChanged)
		}
		if err := samePin(p, now[i].Size, now[i].Etag); err != nil {
			return err
		}
	}
	return nil
}

func samePin(p *pb.PinnedFile, size uint64, etag string) error {
	if p.Size != size || p.Etag != etag {
		return fmt.Errorf("verify %s: has %d bytes and ETag %s, pinned were %d and %s: %w", p.Uri, size,
			etag, p.Size, p.Etag, ErrChanged)
	}
	return nil
}
