package checkpoint

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	curveName = "curve.jsonl.zst"
	maxCurve  = 1 << 30 // bytes of JSON; about two million steps
	maxRecord = 1 << 20 // bytes of one step record
)

// WriteCurve writes the loss curve up to this checkpoint, one JSON step record a line, oldest
// first. It is durable on return.
func WriteCurve(
	ctx context.Context, op store.Opener, dirURI string, records []*pb.StepRecord,
) (manifest.Object, error) {
	uri := join(dirURI, curveName)
	data, err := encodeCurve(records)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("write curve %s: %w", uri, err)
	}
	b, key, err := op.Open(uri)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("write curve: %w", err)
	}
	if _, err := b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), false); err != nil {
		return manifest.Object{}, fmt.Errorf("write curve: %w", err)
	}
	return manifest.Object{
		Key: curveName, Size: int64(len(data)), SHA256: manifest.Digest(data),
	}, nil
}

func encodeCurve(records []*pb.StepRecord) ([]byte, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	for _, r := range records {
		data, err := protojson.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode step %d: %w", r.GetStep(), err)
		}
		line.Reset()
		// protojson varies its white space from build to build; equal curves must be equal bytes.
		if err := json.Compact(&line, data); err != nil {
			return nil, fmt.Errorf("encode step %d: %w", r.GetStep(), err)
		}
		line.WriteByte('\n')
		if _, err := z.Write(line.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Curve reads the loss curve, oldest first. A checkpoint without one has none (nil).
func (r *Reader) Curve(ctx context.Context) ([]*pb.StepRecord, error) {
	for _, s := range r.m.Shards {
		if s.Curve == nil {
			continue
		}
		data, err := r.readObject(ctx, *s.Curve)
		if err != nil {
			return nil, err
		}
		records, err := decodeCurve(data)
		if err != nil {
			return nil, r.corrupt(s.Curve.Key, err.Error())
		}
		return records, nil
	}
	return nil, nil
}

func decodeCurve(data []byte) ([]*pb.StepRecord, error) {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	sc := bufio.NewScanner(io.LimitReader(z, maxCurve))
	sc.Buffer(nil, maxRecord)
	var out []*pb.StepRecord
	for sc.Scan() {
		rec := new(pb.StepRecord)
		if err := protojson.Unmarshal(sc.Bytes(), rec); err != nil {
			return nil, fmt.Errorf("step record %d: %w", len(out)+1, err)
		}
		out = append(out, rec)
	}
	return out, sc.Err()
}
