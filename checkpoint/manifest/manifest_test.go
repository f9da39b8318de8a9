package manifest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// sample is a checkpoint of two units cut at the given elements of unit 0 (size 100).
func sample(cuts ...int) (Manifest, []Shard) {
	head := Manifest{
		Run: "zh", Step: 40, Generation: 2, RunDigest: "d",
		Model: json.RawMessage(`{"family":"llama"}`), Tokenizer: "s3://m/tokenizer.json",
		Units: []Unit{
			{Name: "embed", Size: 100, Params: []Param{
				{Name: "e", Shape: []int{9, 10}}, {Name: "n", Shape: []int{5}, Offset: 90},
			}},
			{Name: "head", Size: 7},
		},
	}
	var shards []Shard
	bounds := append(append([]int{0}, cuts...), 100)
	for k := range len(bounds) - 1 {
		s := Shard{Rank: k, Object: Object{Key: string(rune('a'+k)) + ".safetensors", SHA256: sum}}
		add := func(unit int, kind Kind, lo, hi int) {
			s.Segments = append(s.Segments, Segment{
				Unit: unit, Kind: kind, Start: lo, End: hi, Offset: s.Object.Size, SHA256: sum,
			})
			s.Object.Size += 4 * int64(hi-lo)
		}
		for _, kind := range Kinds() {
			add(0, kind, bounds[k], bounds[k+1])
			if k == 0 {
				add(1, kind, 0, 7)
			}
		}
		shards = append(shards, s)
	}
	return head, shards
}

func TestI1_EncodingIsDeterministic(t *testing.T) {
	head, shards := sample(30, 60)
	one, err := Build(head, shards)
	if err != nil {
		t.Fatal(err)
	}
	shards[0], shards[2] = shards[2], shards[0] // the order in which ranks report
	two, err := Build(head, shards)
	if err != nil {
		t.Fatal(err)
	}
	a, err := one.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := two.Encode()
	if !bytes.Equal(a, b) {
		t.Error("the order of reports changed the manifest")
	}
	back, err := Decode(a)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := back.Encode(); Digest(c) != Digest(a) {
		t.Errorf("decode and encode changed it:\n%s%s", a, c)
	}
}

type edit = func(*Manifest, []Shard) []Shard

// shardEdit is an edit of shards in place.
func shardEdit(f func([]Shard)) edit {
	return func(_ *Manifest, s []Shard) []Shard { f(s); return s }
}

func TestI4_IncompleteOrInconsistentIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil edit
		want  string
	}{
		"gap": {func(_ *Manifest, s []Shard) []Shard {
			s[1].Segments = s[1].Segments[1:]
			return s
		}, "elements [30, 60) of unit 0 (embed), kind param, are in no shard"},
		"gap at the end": {func(m *Manifest, s []Shard) []Shard {
			m.Units[1].Size = 9
			return s
		}, "elements [7, 9) of unit 1 (head), kind param, are in no shard"},
		"overlap": {func(_ *Manifest, s []Shard) []Shard {
			s[1].Segments[0].Start = 28
			s[1].Object.Size += 8
			for i := range s[1].Segments {
				s[1].Segments[i].Offset += 8
			}
			s[1].Segments[0].Offset = 0
			return s
		}, "elements [28, 30) of unit 0 (embed), kind param, are both in a.safetensors and in b."},
		"rank missing": {func(_ *Manifest, s []Shard) []Shard {
			return s[1:]
		}, "one shard of every rank"},
		"rank twice": {shardEdit(func(s []Shard) { s[1].Rank = 0 }), "every rank"},
		"no shard":   {func(*Manifest, []Shard) []Shard { return nil }, "0 shards"},
		"same object": {shardEdit(func(s []Shard) {
			s[1].Object.Key = "a.safetensors"
		}), "twice"},
		"outside":    {shardEdit(func(s []Shard) { s[2].Object.Size-- }), "leaves its"},
		"bad sum":    {shardEdit(func(s []Shard) { s[0].Segments[1].SHA256 = "x" }), "malformed"},
		"path":       {shardEdit(func(s []Shard) { s[0].Object.Key = "../x" }), "plain name"},
		"manifest's": {shardEdit(func(s []Shard) { s[0].Object.Key = Name }), "twice"},
		"kind":       {shardEdit(func(s []Shard) { s[0].Segments[0].Kind = "w" }), `kind "w"`},
		"unit":       {shardEdit(func(s []Shard) { s[0].Segments[0].Unit = 2 }), "no such"},
		"empty segment": {shardEdit(func(s []Shard) {
			s[0].Segments[0].End = 0
		}), "bad range"},
		"tensor outside": {func(m *Manifest, s []Shard) []Shard {
			m.Units[0].Params[1].Offset = 96
			return s
		}, "tensor n"},
		"tensors overlap": {func(m *Manifest, s []Shard) []Shard {
			m.Units[0].Params[1].Offset = 89
			return s
		}, "tensor n"},
		"huge shape": {func(m *Manifest, s []Shard) []Shard {
			m.Units[0].Params[1].Shape = []int{1 << 40, 1 << 40}
			return s
		}, "tensor n"},
	} {
		head, shards := sample(30, 60)
		_, err := Build(head, c.spoil(&head, shards))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever the cuts and the range, a plan reads each wanted element once, in order.
func TestPlanCoversTheRangeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.IntRange(1, 98).Draw(t, "a")
		b := rapid.IntRange(a+1, 99).Draw(t, "b")
		m, err := Build(sample(a, b))
		if err != nil {
			t.Fatal(err)
		}
		lo := rapid.IntRange(0, 99).Draw(t, "lo")
		hi := rapid.IntRange(lo+1, 100).Draw(t, "hi")
		at, seen := lo, map[string]bool{}
		for _, r := range m.Plan(0, KindV, lo, hi) {
			if r.Lo != at || r.Hi <= r.Lo || r.Lo < r.Segment.Start || r.Hi > r.Segment.End ||
				seen[r.Object.Key] {
				t.Fatalf("step %+v, expected element %d", r, at)
			}
			at, seen[r.Object.Key] = r.Hi, true
		}
		if at != hi {
			t.Fatalf("plan of [%d, %d) ends at %d", lo, hi, at)
		}
	})
	m, err := Build(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]int{{0, 5, 5}, {0, -1, 5}, {0, 5, 101}, {2, 0, 1}, {-1, 0, 1}} {
		if p := m.Plan(c[0], KindM, c[1], c[2]); p != nil {
			t.Errorf("plan of unit %d [%d, %d): %v", c[0], c[1], c[2], p)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	m, err := Build(sample(50))
	if err != nil {
		t.Fatal(err)
	}
	good, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty":         "",
		"truncated":     string(good[:len(good)/2]),
		"trailing":      string(good) + "{}",
		"unknown field": strings.Replace(string(good), `"version"`, `"more":1,"version"`, 1),
		"later version": strings.Replace(string(good), `"version":1`, `"version":2`, 1),
	} {
		if _, err := Decode([]byte(data)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, cuts := range [][]int{nil, {50}, {1, 99}} {
		m, err := Build(sample(cuts...))
		if err != nil {
			f.Fatal(err)
		}
		data, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":1,"run":"r","world":1,"units":[{"name":"u","size":92233720368}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		// What was accepted can be planned and written again.
		for i, u := range m.Units {
			for _, kind := range Kinds() {
				if p := m.Plan(i, kind, 0, u.Size); len(p) == 0 {
					t.Fatalf("no plan of unit %d", i)
				}
			}
		}
		if _, err := m.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}
