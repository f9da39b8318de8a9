package manifest

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// maxElements bounds a unit, so that byte counts cannot overflow.
const maxElements = math.MaxInt64 / 16

// MaxSegment is the most elements a segment may have: a reader holds whole segments in memory.
const MaxSegment = 1 << 24

// check verifies everything a reader relies on and returns the index of Plan. It changes nothing.
func (m *Manifest) check() (map[place][]Read, error) {
	switch {
	case m.Version != Version:
		return nil, fmt.Errorf("format version %d; this program reads version %d", m.Version, Version)
	case m.Run == "":
		return nil, fmt.Errorf("no run")
	case len(m.Units) == 0:
		return nil, fmt.Errorf("no units")
	case m.World < 1 || m.World != len(m.Shards):
		return nil, fmt.Errorf("%d shards of a world of %d", len(m.Shards), m.World)
	}
	names := make(map[string]bool)
	for i, u := range m.Units {
		if err := checkUnit(u, names); err != nil {
			return nil, fmt.Errorf("unit %d (%s): %w", i, u.Name, err)
		}
	}
	keys := map[string]bool{Name: true}
	for i, s := range m.Shards {
		if s.Rank != i {
			return nil, fmt.Errorf("shard %d is of rank %d: one shard of every rank is needed", i, s.Rank)
		}
		if err := m.checkShard(s, keys); err != nil {
			return nil, fmt.Errorf("shard of rank %d: %w", i, err)
		}
	}
	index := m.makeIndex()
	return index, m.checkCover(index)
}

func checkUnit(u Unit, names map[string]bool) error {
	if u.Name == "" || u.Size < 1 || u.Size > maxElements {
		return fmt.Errorf("needs a name and a size, has %q and %d", u.Name, u.Size)
	}
	params := slices.Clone(u.Params)
	sort.SliceStable(params, func(i, j int) bool { return params[i].Offset < params[j].Offset })
	end := 0
	for _, p := range params {
		if p.Name == "" || names[p.Name] {
			return fmt.Errorf("tensor name %q is empty or there twice", p.Name)
		}
		names[p.Name] = true
		n := 1
		for _, d := range p.Shape {
			if d < 1 || n > u.Size/d {
				return fmt.Errorf("tensor %s: shape %v does not fit the unit's %d elements",
					p.Name, p.Shape, u.Size)
			}
			n *= d
		}
		if p.Offset < end || n > u.Size-p.Offset {
			return fmt.Errorf("tensor %s: elements %d..%d+%d overlap another or leave the unit",
				p.Name, p.Offset, p.Offset, n)
		}
		end = p.Offset + n
	}
	return nil
}

func (m *Manifest) checkShard(s Shard, keys map[string]bool) error {
	objects := []Object{s.Object}
	if s.Curve != nil {
		objects = append(objects, *s.Curve)
	}
	for _, o := range objects {
		if err := checkObject(o, keys); err != nil {
			return err
		}
	}
	var at int64
	for _, g := range s.Segments {
		if g.Unit < 0 || g.Unit >= len(m.Units) || !slices.Contains(Kinds(), g.Kind) {
			return fmt.Errorf("segment of unit %d, kind %q: no such thing", g.Unit, g.Kind)
		}
		u := m.Units[g.Unit]
		if g.Start < 0 || g.Start >= g.End || g.End > u.Size || g.End-g.Start > MaxSegment {
			return fmt.Errorf("segment [%d, %d) of unit %d (%s) of %d elements: bad range",
				g.Start, g.End, g.Unit, u.Name, u.Size)
		}
		n := 4 * int64(g.End-g.Start)
		if g.Offset < at || g.Offset > s.Object.Size || n > s.Object.Size-g.Offset {
			return fmt.Errorf("segment [%d, %d) of unit %d (%s) overlaps the one before it in %s, "+
				"or leaves its %d bytes",
				g.Start, g.End, g.Unit, u.Name, s.Object.Key, s.Object.Size)
		}
		if !isSum(g.SHA256) {
			return fmt.Errorf("segment [%d, %d) of unit %d (%s): sha256 %q is malformed",
				g.Start, g.End, g.Unit, u.Name, clip(g.SHA256))
		}
		at = g.Offset + n
	}
	return nil
}

func checkObject(o Object, keys map[string]bool) error {
	switch {
	case o.Key == "" || o.Key == "." || o.Key == ".." || strings.ContainsAny(o.Key, "/\\\x00"):
		return fmt.Errorf("object key %q: must be a plain name beside the manifest", clip(o.Key))
	case keys[o.Key]:
		return fmt.Errorf("object key %q is there twice", o.Key)
	case o.Size < 0 || !isSum(o.SHA256):
		return fmt.Errorf("object %s: size %d or sha256 %q is malformed", o.Key, o.Size, clip(o.SHA256))
	}
	keys[o.Key] = true
	return nil
}

func (m *Manifest) makeIndex() map[place][]Read {
	index := make(map[place][]Read)
	for _, s := range m.Shards {
		for _, g := range s.Segments {
			at := place{g.Unit, g.Kind}
			index[at] = append(index[at], Read{Object: s.Object, Segment: g})
		}
	}
	for _, reads := range index {
		sort.SliceStable(reads, func(i, j int) bool {
			return reads[i].Segment.Start < reads[j].Segment.Start
		})
	}
	return index
}

// checkCover proves invariant I4's "complete": each element of each kind, exactly once.
func (m *Manifest) checkCover(index map[place][]Read) error {
	for i, u := range m.Units {
		for _, kind := range Kinds() {
			at, last := 0, Read{}
			for _, r := range index[place{i, kind}] {
				g := r.Segment
				if g.Start > at {
					return gap(i, u, kind, at, g.Start)
				}
				if g.Start < at {
					return fmt.Errorf("elements [%d, %d) of unit %d (%s), kind %s, are both in %s "+
						"and in %s", g.Start, min(at, g.End), i, u.Name, kind, last.Object.Key,
						r.Object.Key)
				}
				at, last = g.End, r
			}
			if at < u.Size {
				return gap(i, u, kind, at, u.Size)
			}
		}
	}
	return nil
}

func gap(i int, u Unit, kind Kind, lo, hi int) error {
	return fmt.Errorf("elements [%d, %d) of unit %d (%s), kind %s, are in no shard",
		lo, hi, i, u.Name, kind)
}

func isSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

// clip keeps hostile strings out of messages.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
