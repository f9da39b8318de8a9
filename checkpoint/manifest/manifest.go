package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
)

// Version is the only version of the format so far.
const Version = 1

// Name is the key of a manifest below its checkpoint's folder.
const Name = "manifest.json"

// Kind is what a segment holds of a unit.
type Kind string

// The kinds of state an optimizer step reads and writes.
const (
	KindParam Kind = "param" // parameters
	KindM     Kind = "m"     // AdamW first moment
	KindV     Kind = "v"     // AdamW second moment
)

// Kinds lists all kinds in their order inside objects.
func Kinds() []Kind { return []Kind{KindParam, KindM, KindV} }

// Param is a named tensor inside a unit.
type Param struct {
	Name   string `json:"name"`
	Shape  []int  `json:"shape"`
	Offset int    `json:"offset"` // elements from the start of the unit
}

// Elements is the number of elements of the tensor.
func (p Param) Elements() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Unit is a sharding unit of the model.
type Unit struct {
	Name   string  `json:"name"`
	Size   int     `json:"size"` // elements, padding included
	Params []Param `json:"params"`
}

// Object is an object beside the manifest.
type Object struct {
	Key    string `json:"key"` // relative to the manifest's folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex, of the whole object
}

// Segment is a run of elements of one unit and kind: little-endian float32 in its shard's object.
type Segment struct {
	Unit   int    `json:"unit"`
	Kind   Kind   `json:"kind"`
	Start  int    `json:"start"`  // first element
	End    int    `json:"end"`    // element after the last
	Offset int64  `json:"offset"` // of the first byte in the object
	SHA256 string `json:"sha256"` // hex, of the segment's 4*(End-Start) bytes
}

// Shard is what one rank wrote.
type Shard struct {
	Rank     int             `json:"rank"`
	Object   Object          `json:"object"`
	Segments []Segment       `json:"segments"`           // Invariant: by offset, disjoint
	Cursor   json.RawMessage `json:"cursor,omitempty"`   // dataset cursor of the rank's slots
	Curve    *Object         `json:"curve,omitempty"`    // rank 0
	Progress json.RawMessage `json:"progress,omitempty"` // rank 0; opaque here
}

// Manifest names everything a checkpoint consists of.
type Manifest struct {
	Version    int             `json:"version"`
	Run        string          `json:"run"`
	Step       uint64          `json:"step"`
	Generation uint64          `json:"generation"`
	World      int             `json:"world"`
	RunDigest  string          `json:"run_digest"`
	Model      json.RawMessage `json:"model"`     // protojson of ModelConfig
	Tokenizer  string          `json:"tokenizer"` // URI
	// TokenizerBase is the URI of the tokenizer that Tokenizer was added to; empty: none.
	TokenizerBase string  `json:"tokenizer_base,omitempty"`
	Units         []Unit  `json:"units"`
	Shards        []Shard `json:"shards"` // Invariant: by rank, one each

	index map[place][]Read // segments by start; set by Build and Decode
}

type place struct {
	unit int
	kind Kind
}

// Build makes the manifest of a checkpoint from its head (all fields but Version, World and
// Shards) and the shards of all ranks, in any order. It fails, naming unit and range, unless the
// shards cover every kind of every unit exactly once.
func Build(head Manifest, shards []Shard) (*Manifest, error) {
	m := head
	m.Version = Version
	m.World = len(shards)
	m.Shards = slices.Clone(shards)
	sort.SliceStable(m.Shards, func(i, j int) bool { return m.Shards[i].Rank < m.Shards[j].Rank })
	var err error
	if m.index, err = m.check(); err != nil {
		return nil, fmt.Errorf("build manifest of step %d: %w", m.Step, err)
	}
	return &m, nil
}

// Read is one step of a restore: a segment to read whole (its hash covers all of it) and the part
// of it that is wanted.
type Read struct {
	Object  Object
	Segment Segment
	Lo, Hi  int // wanted elements of the unit, inside [Segment.Start, Segment.End)
}

// Plan lists the segments that hold elements [lo, hi) of a unit's kind, by ascending element, each
// once. It is nil when the range is empty or not inside the unit.
func (m *Manifest) Plan(unit int, kind Kind, lo, hi int) []Read {
	if unit < 0 || unit >= len(m.Units) || lo < 0 || hi > m.Units[unit].Size || lo >= hi {
		return nil
	}
	all := m.index[place{unit, kind}]
	first := sort.Search(len(all), func(i int) bool { return all[i].Segment.End > lo })
	var out []Read
	for _, r := range all[first:] {
		if r.Segment.Start >= hi {
			break
		}
		r.Lo, r.Hi = max(lo, r.Segment.Start), min(hi, r.Segment.End)
		out = append(out, r)
	}
	return out
}

// Objects lists every object the manifest names, itself not included, by rank.
func (m *Manifest) Objects() []Object {
	var out []Object
	for _, s := range m.Shards {
		out = append(out, s.Object)
		if s.Curve != nil {
			out = append(out, *s.Curve)
		}
	}
	return out
}
