package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/store"
	"golang.org/x/sync/errgroup"
)

// Reader reads one checkpoint. Safe for concurrent use; it caches no data.
type Reader struct {
	m      *manifest.Manifest
	bucket store.Bucket
	prefix string // key of the folder, with its slash
	dir    string // URI of the folder, with its slash
}

// Open reads the manifest at manifestURI and checks it against wantDigest, the digest in Raft. An
// empty wantDigest trusts the manifest as it is: for command-line use on checkpoints of unknown
// origin only.
func Open(ctx context.Context, op store.Opener, manifestURI, wantDigest string) (*Reader, error) {
	b, key, err := op.Open(manifestURI)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint: %w", err)
	}
	if baseName(manifestURI) != manifest.Name {
		return nil, fmt.Errorf("open checkpoint %s: name its %s", manifestURI, manifest.Name)
	}
	r := &Reader{
		bucket: b,
		prefix: strings.TrimSuffix(key, manifest.Name),
		dir:    strings.TrimSuffix(manifestURI, manifest.Name),
	}
	data, err := readAll(ctx, b, key, manifest.MaxBytes)
	if err == nil && wantDigest != "" && manifest.Digest(data) != wantDigest {
		data, err = readAll(ctx, b, key, manifest.MaxBytes)
	}
	switch {
	case errors.Is(err, store.ErrNotFound) && wantDigest != "", errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.corrupt(manifest.Name, err.Error())
	case err != nil:
		return nil, fmt.Errorf("open checkpoint: %w", err)
	}
	if got := manifest.Digest(data); wantDigest != "" && got != wantDigest {
		return nil, r.corrupt(manifest.Name,
			fmt.Sprintf("its digest is %s, committed was %s", got, wantDigest))
	}
	if r.m, err = manifest.Decode(data); err != nil {
		return nil, r.corrupt(manifest.Name, err.Error())
	}
	return r, nil
}

// Manifest returns the manifest. The caller must not change it.
func (r *Reader) Manifest() *manifest.Manifest { return r.m }

// corrupt makes the error that refuses this checkpoint.
func (r *Reader) corrupt(key, what string) error {
	return fmt.Errorf("%w: %s%s: %s; nothing of it was used: resume from an older checkpoint, or "+
		"restore the object from a copy", ErrCorrupt, r.dir, key, what)
}

// Segments in flight of one Read: enough to hide the latency of an object store.
const readsAtOnce = 4

// Read fills dst with elements [lo, hi) of a unit's kind. It reads each segment they lie in once,
// whole, and checks its SHA-256 before a byte of it reaches dst. On error dst holds no promise.
// Errors: ErrCorrupt, or one of the store's (unreachable, denied).
func (r *Reader) Read(
	ctx context.Context, unit int, kind manifest.Kind, lo, hi int, dst []float32,
) error {
	if len(dst) != hi-lo {
		return fmt.Errorf("read %s: room for %d elements, range [%d, %d)", r.dir, len(dst), lo, hi)
	}
	if lo == hi {
		return nil
	}
	plan := r.m.Plan(unit, kind, lo, hi)
	if plan == nil {
		return fmt.Errorf("read %s: no elements [%d, %d) of unit %d, kind %q",
			r.dir, lo, hi, unit, kind)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, step := range plan {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return r.readSegment(ctx, step, dst[step.Lo-lo:step.Hi-lo]) })
	}
	return g.Wait()
}

func (r *Reader) readSegment(ctx context.Context, step manifest.Read, dst []float32) error {
	s := step.Segment
	buf := make([]byte, 4*(s.End-s.Start))
	if err := r.readChecked(ctx, step.Object.Key, s.Offset, buf, s.SHA256); err != nil {
		return err
	}
	part := buf[4*(step.Lo-s.Start) : 4*(step.Hi-s.Start)]
	return safetensors.Decode(safetensors.F32, dst, part)
}

// readChecked fills buf and returns nil only if its SHA-256 is the wanted one.
func (r *Reader) readChecked(
	ctx context.Context, key string, off int64, buf []byte, want string,
) error {
	var got string
	for try := 0; try < 2; try++ {
		if err := r.bucket.ReadRange(ctx, r.prefix+key, off, buf, ""); err != nil {
			return r.readError(key, err)
		}
		sum := sha256.Sum256(buf)
		if got = hex.EncodeToString(sum[:]); got == want {
			return nil
		}
	}
	return r.corrupt(key, fmt.Sprintf("bytes %d..%d have SHA-256 %s, the manifest says %s",
		off, off+int64(len(buf)), got, want))
}

// readError tells objects that are gone or cut from stores that do not answer.
func (r *Reader) readError(key string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return r.corrupt(key, "the object is missing")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r.corrupt(key, fmt.Sprintf("the object is truncated (%v)", err))
	}
	return fmt.Errorf("read checkpoint: %w", err)
}

// readObject reads a small object whole.
func (r *Reader) readObject(ctx context.Context, o manifest.Object) ([]byte, error) {
	var buf bytes.Buffer
	err := r.stream(ctx, o, func(p []byte) { buf.Write(p) })
	return buf.Bytes(), err
}

// stream passes a whole object through fn and then checks its SHA-256 and that nothing follows it.
func (r *Reader) stream(ctx context.Context, o manifest.Object, fn func([]byte)) error {
	info, err := r.bucket.Stat(ctx, r.prefix+o.Key)
	if err != nil {
		return r.readError(o.Key, err)
	}
	if info.Size != o.Size {
		return r.corrupt(o.Key, fmt.Sprintf("it has %d bytes, the manifest says %d",
			info.Size, o.Size))
	}
	h := sha256.New()
	buf := make([]byte, min(o.Size, 4<<20))
	for off := int64(0); off < o.Size; {
		p := buf[:min(int64(len(buf)), o.Size-off)]
		if err := r.bucket.ReadRange(ctx, r.prefix+o.Key, off, p, ""); err != nil {
			return r.readError(o.Key, err)
		}
		h.Write(p)
		fn(p)
		off += int64(len(p))
	}
	if got := hexSum(h); got != o.SHA256 {
		return r.corrupt(o.Key, fmt.Sprintf("its SHA-256 is %s, the manifest says %s",
			got, o.SHA256))
	}
	return nil
}
