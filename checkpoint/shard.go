package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/store"
)

// Part is a run of elements of one unit's flat parameters or optimizer state, in host memory.
type Part struct {
	Unit  int
	Kind  manifest.Kind
	Start int // element of the unit that Data[0] is
	Data  []float32
}

// segmentElements is where segments are cut: 4 MiB. Smaller ones would make manifests of large
// models heavy, larger ones would make a restore at another W re-read more at shard boundaries.
const segmentElements = 1 << 20

// WriteShard writes a rank's parts as one object, "rank-<k>.safetensors", and describes it for the
// manifest. The object is durable on return. It reads the parts twice (hash, upload) and never
// copies them: they must not change before it returns. A repeated call overwrites.
func WriteShard(
	ctx context.Context, op store.Opener, dirURI string, rank int, parts []Part,
	cursor json.RawMessage,
) (manifest.Shard, error) {
	return writeShard(ctx, op, dirURI, rank, parts, cursor, segmentElements)
}

// writeShard is WriteShard with segments cut at multiples of cut elements.
func writeShard(
	ctx context.Context, op store.Opener, dirURI string, rank int, parts []Part,
	cursor json.RawMessage, cut int,
) (manifest.Shard, error) {
	uri := join(dirURI, fmt.Sprintf("rank-%d.safetensors", rank))
	v, segments, err := layOut(rank, parts, cut)
	if err != nil {
		return manifest.Shard{}, fmt.Errorf("write shard %s: %w", uri, err)
	}
	sum, err := v.hash(ctx, segments)
	if err != nil {
		return manifest.Shard{}, fmt.Errorf("write shard %s: %w", uri, err)
	}
	b, key, err := op.Open(uri)
	if err != nil {
		return manifest.Shard{}, fmt.Errorf("write shard: %w", err)
	}
	if _, err := b.Put(ctx, key, v.reader(), v.size, false); err != nil {
		return manifest.Shard{}, fmt.Errorf("write shard: %w", err)
	}
	return manifest.Shard{
		Rank:     rank,
		Object:   manifest.Object{Key: baseName(uri), Size: v.size, SHA256: sum},
		Segments: segments,
		Cursor:   cursor,
	}, nil
}

// layOut cuts the parts into segments and places them in a safetensors file.
func layOut(rank int, parts []Part, cut int) (*view, []manifest.Segment, error) {
	if rank < 0 {
		return nil, nil, fmt.Errorf("negative rank %d", rank)
	}
	var segments []manifest.Segment
	var pieces [][]float32
	var specs []safetensors.Spec
	for _, p := range parts {
		if !slices.Contains(manifest.Kinds(), p.Kind) || p.Unit < 0 || p.Start < 0 {
			return nil, nil, fmt.Errorf("part of unit %d, kind %q, start %d: no such thing",
				p.Unit, p.Kind, p.Start)
		}
		for at, rest := p.Start, p.Data; len(rest) > 0; {
			end := (at/cut + 1) * cut
			n := min(end-at, len(rest))
			segments = append(segments, manifest.Segment{
				Unit: p.Unit, Kind: p.Kind, Start: at, End: at + n,
			})
			specs = append(specs, safetensors.Spec{
				Name:  fmt.Sprintf("unit.%d/%s@%d-%d", p.Unit, p.Kind, at, at+n),
				DType: safetensors.F32, Shape: []int{n},
			})
			pieces = append(pieces, rest[:n])
			at, rest = at+n, rest[n:]
		}
	}
	head, size, err := safetensors.EncodeHeader(specs, map[string]string{
		"format": "banyan checkpoint shard", "rank": fmt.Sprint(rank),
	})
	if err != nil {
		return nil, nil, err
	}
	offset := int64(len(head))
	for i := range segments {
		segments[i].Offset = offset
		offset += 4 * int64(len(pieces[i]))
	}
	v := newView(head, pieces)
	if v.size != size {
		return nil, nil, fmt.Errorf("safetensors header announces %d bytes, parts have %d",
			size, v.size)
	}
	return v, segments, nil
}

// hash sets the segments' sums and returns the whole object's.
func (v *view) hash(ctx context.Context, segments []manifest.Segment) (string, error) {
	whole := sha256.New()
	whole.Write(v.head)
	buf := make([]byte, 0, 256<<10)
	for i, piece := range v.pieces {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		one := sha256.New()
		for len(piece) > 0 {
			n := min(len(piece), cap(buf)/4)
			data := safetensors.EncodeF32(buf[:0], piece[:n])
			one.Write(data)
			whole.Write(data)
			piece = piece[n:]
		}
		segments[i].SHA256 = hexSum(one)
	}
	return hexSum(whole), nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
