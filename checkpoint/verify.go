package checkpoint

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"sort"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
)

// Verify reads every object once and checks its size and SHA-256, and the sums of all segments. It
// returns the first thing that is wrong (ErrCorrupt), or that cannot be read.
func (r *Reader) Verify(ctx context.Context) error {
	for _, s := range r.m.Shards {
		c := segmentCheck{segments: s.Segments, one: sha256.New()}
		if err := r.stream(ctx, s.Object, c.take); err != nil {
			return err
		}
		if c.bad != "" {
			return r.corrupt(s.Object.Key, c.bad)
		}
	}
	_, err := r.Curve(ctx)
	return err
}

// segmentCheck hashes the segments of an object that streams by.
type segmentCheck struct {
	segments []manifest.Segment // those not finished, by offset
	one      hash.Hash          // of the first of them, so far
	at       int64              // bytes that went by
	bad      string
}

func (c *segmentCheck) take(p []byte) {
	for len(p) > 0 && len(c.segments) > 0 {
		s := c.segments[0]
		end := s.Offset + 4*int64(s.End-s.Start)
		if skip := min(s.Offset-c.at, int64(len(p))); skip > 0 {
			c.at, p = c.at+skip, p[skip:]
			continue
		}
		n := min(end-c.at, int64(len(p)))
		c.one.Write(p[:n])
		c.at, p = c.at+n, p[n:]
		if c.at < end {
			return
		}
		if got := hexSum(c.one); got != s.SHA256 && c.bad == "" {
			c.bad = fmt.Sprintf("elements [%d, %d) of unit %d, kind %s, have SHA-256 %s, "+
				"the manifest says %s", s.Start, s.End, s.Unit, s.Kind, got, s.SHA256)
		}
		c.one.Reset()
		c.segments = c.segments[1:]
	}
	c.at += int64(len(p))
}

// LogicalDigest is a SHA-256 (hex) of what a checkpoint means: the names, shapes and float32
// values of all named tensors and of their optimizer state. It does not depend on the world size
// that wrote it, on segments, or on padding.
//
// It is the hash of one line a tensor, by name, then by kind in the order param, m, v:
//
//	<name> <kind> <shape, comma separated> <SHA-256 of the little-endian float32 bytes>\n
//
// so that tensors can be hashed in the order they are stored in, each byte read once.
func LogicalDigest(ctx context.Context, r *Reader) (string, error) {
	type line struct {
		name string
		kind int
		text string
	}
	var lines []line
	for u, unit := range r.m.Units {
		for k, kind := range manifest.Kinds() {
			sums, err := r.tensorSums(ctx, u, kind)
			if err != nil {
				return "", fmt.Errorf("digest checkpoint: %w", err)
			}
			for i, p := range unit.Params {
				text := fmt.Sprintf("%q %s %s %s\n", p.Name, kind, shapeText(p.Shape), sums[i])
				lines = append(lines, line{p.Name, k, text})
			}
		}
	}
	sort.Slice(lines, func(i, j int) bool {
		if lines[i].name != lines[j].name {
			return lines[i].name < lines[j].name
		}
		return lines[i].kind < lines[j].kind
	})
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l.text))
	}
	return hexSum(h), nil
}

// tensorSums hashes the named tensors of a unit in one pass over it, in the order of Params.
func (r *Reader) tensorSums(ctx context.Context, u int, kind manifest.Kind) ([]string, error) {
	unit := r.m.Units[u]
	order := make([]int, len(unit.Params))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		return unit.Params[order[i]].Offset < unit.Params[order[j]].Offset
	})
	sums := make([]string, len(order))
	w := window{r: r, unit: u, kind: kind}
	var bytes []byte
	for _, i := range order {
		p := unit.Params[i]
		h := sha256.New()
		for at, end := p.Offset, p.Offset+p.Elements(); at < end; {
			data, err := w.from(ctx, at)
			if err != nil {
				return nil, err
			}
			data = data[:min(len(data), end-at)]
			bytes = safetensors.EncodeF32(bytes[:0], data)
			h.Write(bytes)
			at += len(data)
		}
		sums[i] = hexSum(h)
	}
	return sums, nil
}

// window walks a unit's kind forward, one segment in memory at a time.
type window struct {
	r     *Reader
	unit  int
	kind  manifest.Kind
	start int
	data  []float32
}

// from returns elements from at on: at least one, at most to the end of the segment.
func (w *window) from(ctx context.Context, at int) ([]float32, error) {
	if at >= w.start && at < w.start+len(w.data) {
		return w.data[at-w.start:], nil
	}
	plan := w.r.m.Plan(w.unit, w.kind, at, at+1)
	if len(plan) != 1 {
		return nil, fmt.Errorf("no element %d of unit %d, kind %s", at, w.unit, w.kind)
	}
	s := plan[0].Segment
	w.start, w.data = s.Start, make([]float32, s.End-s.Start)
	if err := w.r.Read(ctx, w.unit, w.kind, s.Start, s.End, w.data); err != nil {
		return nil, err
	}
	return w.data[at-w.start:], nil
}

func shapeText(shape []int) string {
	out := ""
	for i, d := range shape {
		if i > 0 {
			out += ","
		}
		out += fmt.Sprint(d)
	}
	return out
}
