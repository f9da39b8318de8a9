package dataset

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func TestCursorJSONIsSmallAndStable(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 0, 50)...), text("b", repeat(40, 5, 60)...))
	raw, err := json.Marshal(mustNext(t, mustOpen(t, cfg, nil)).Cursor)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":1,` +
		`"stream":"a99ed086f397c4610688cfae747c9323212032ccb1dafd507bcffe33a2f0702b",` +
		`"mixer":{"step":1,"global":[-1431655766,1431655766],` +
		`"slots":[-2863311531,2863311531,1431655765,-1431655765]},` +
		`"lo":0,"slots":[[[0,32,24],[0,0,0]],[[1,0,0],[1,59,3]]]}`
	if string(raw) != want {
		t.Errorf("the JSON form of a cursor changed:\n%s", raw)
	}
}

func TestBadCursorsAreRefused(t *testing.T) {
	cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...), text("b", repeat(40, 5, 60)...))
	good := mustNext(t, mustOpen(t, cfg, nil)).Cursor
	for name, spoil := range map[string]func(*Cursor){
		"version 2":        func(c *Cursor) { c.Version = 2 },
		"another stream":   func(c *Cursor) { c.Stream = "x" },
		"slot deficits":    func(c *Cursor) { c.Mixer.Slots = c.Mixer.Slots[1:] },
		"owed":             func(c *Cursor) { c.Mixer.Slots[0]++ },
		"deficits":         func(c *Cursor) { c.Mixer.Global = nil },
		"positions for":    func(c *Cursor) { c.Slots[1] = c.Slots[1][:1] },
		"covers slots":     func(c *Cursor) { c.Slots = c.Slots[:3] },
		"slots [1,5) of 4": func(c *Cursor) { c.Lo = 1 },
		"slots [-1,3)":     func(c *Cursor) { c.Lo = -1 },
		"impossible":       func(c *Cursor) { c.Slots[0][0].Block++ },
		"is impossible":    func(c *Cursor) { c.Slots[0][0].Token = -1 },
		"outside of block": func(c *Cursor) { c.Slots[0][0].Offset = 1 << 40 },
	} {
		c := roundTrip(t, good)
		spoil(c)
		s, err := Open(context.Background(), cfg, c)
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCursorOfAnotherTokenizationIsRefused(t *testing.T) {
	cfg := testConfig(t, 1, 128, text("a", repeat(40, 0, 50)...))
	c := roundTrip(t, mustNext(t, mustOpen(t, cfg, nil)).Cursor)
	c.Slots[0][0].Token += 1000
	_, err := mustOpen(t, cfg, c).Next(context.Background())
	if err == nil || !strings.Contains(err.Error(), "tokenizer is another one") {
		t.Error(err)
	}
}

func TestCursorOfAnotherStreamIsRefused(t *testing.T) {
	fresh := func() Config {
		return testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...), text("b", repeat(9, 5, 60)...))
	}
	cursor := mustNext(t, mustOpen(t, fresh(), nil)).Cursor
	for name, change := range map[string]func(*Config){
		"seed":       func(c *Config) { c.Seed++ },
		"seq_len":    func(c *Config) { c.SeqLen++ },
		"bos":        func(c *Config) { c.BOS = true },
		"batch":      func(c *Config) { c.GlobalBatch, c.Hi = 5, 5 },
		"etag":       func(c *Config) { c.Corpus.Sources[0].Files[0].Etag = "x" },
		"block size": func(c *Config) { c.Corpus.Sources[0].BlockBytes++ },
		"name":       func(c *Config) { c.Corpus.Sources[0].Name = "x" },
		"text field": func(c *Config) { c.Corpus.Sources[0].TextField = "x" },
		"sources":    func(c *Config) { c.Corpus.Sources = c.Corpus.Sources[:1] },
	} {
		cfg := fresh()
		change(&cfg)
		if s, err := Open(context.Background(), cfg, cursor); err == nil {
			s.Close()
			t.Errorf("another %s: accepted", name)
		}
	}
	for name, change := range map[string]func(*Config){
		"doc_mask": func(c *Config) { c.DocMask = false },
		"uri":      func(c *Config) { c.Corpus.Sources[0].Files[0].Uri = "mem://moved" },
		"weights": func(c *Config) {
			c.Corpus.Sources[0].WeightQ32, c.Corpus.Sources[1].WeightQ32 = 1<<31, 1<<31
		},
		"max_epochs": func(c *Config) { c.Corpus.Sources[0].MaxEpochs = 9 },
	} {
		cfg := fresh()
		change(&cfg)
		s, err := Open(context.Background(), cfg, cursor)
		if err != nil {
			t.Errorf("another %s: %v", name, err)
			continue
		}
		s.Close()
	}
}

func TestMergeCursorsRefusesWhatDoesNotFit(t *testing.T) {
	cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...))
	part := func(lo, hi Slot, steps int) *Cursor {
		c := cfg
		c.Lo, c.Hi = lo, hi
		s := mustOpen(t, c, nil)
		var at *Cursor
		for range steps {
			at = mustNext(t, s).Cursor
		}
		return at
	}
	low, high, late := part(0, 2, 1), part(2, 4, 1), part(2, 4, 2)
	none := part(3, 3, 1)
	foreign := *high
	foreign.Stream = "x"
	for name, parts := range map[string][]*Cursor{
		"there are none": nil, "are followed by": {low, part(3, 4, 1)}, "[0,2)": {low, low, high},
		"at step 2": {low, late}, "rank 1 is at": {low, &foreign}, "rank 1": {low, nil},
	} {
		if _, err := MergeCursors(parts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	merged, err := MergeCursors([]*Cursor{high, none, low})
	if err != nil || merged.Lo != 0 || merged.Hi() != 4 {
		t.Fatal(merged, err)
	}
	if len(low.Slots) != 2 {
		t.Error("merging changed what was merged")
	}
	if c, err := MergeCursors([]*Cursor{none, none}); err != nil || len(c.Slots) != 0 {
		t.Error(c, err)
	}
}

func TestPositionJSON(t *testing.T) {
	for _, bad := range []string{`[1,2]`, `[1,2,3,4,5]`, `[-1,0,0]`, `[1.5,0,0]`, `["a",0,0]`,
		`[99999999999999999999,0,0]`, `{}`, `[1,2,null]`} {
		var p Position
		if err := json.Unmarshal([]byte(bad), &p); err == nil {
			t.Errorf("%s: read as %v", bad, p)
		}
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no sources":   func(c *Config) { c.Corpus.Sources = nil },
		"no tokenizer": func(c *Config) { c.Tokenizer = nil },
		"no stores":    func(c *Config) { c.Stores = nil },
		"seq_len":      func(c *Config) { c.SeqLen = 0 },
		"global_batch": func(c *Config) { c.GlobalBatch = 0 },
		"slots [3,2)":  func(c *Config) { c.Lo, c.Hi = 3, 2 },
		"slots [0,5)":  func(c *Config) { c.Hi = 5 },
		"EOS":          func(c *Config) { c.Tokenizer = bare{} },
		"2^32":         func(c *Config) { c.Corpus.Sources[0].WeightQ32-- },
		"blocks":       func(c *Config) { c.Corpus.Sources[0].Blocks-- },
	} {
		cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...))
		change(&cfg)
		if s, err := Open(context.Background(), cfg, nil); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bare is a tokenizer without EOS and BOS.
type bare struct{ bytesTokenizer }

func (bare) EOS() (int32, bool) { return 0, false }
func (bare) BOS() (int32, bool) { return 0, false }

func TestEmptyRangeOfSlots(t *testing.T) {
	cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...))
	cfg.Lo, cfg.Hi = 2, 2
	b := mustNext(t, mustOpen(t, cfg, nil))
	if len(b.Sequences) != 0 || b.Step != 1 || b.Cursor.Validate() != nil {
		t.Errorf("%+v", b)
	}
}

// A lane at the start of a block that is not used before the next checkpoint stays there.
func TestUnusedLanesKeepTheirPlace(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 0, 50)...), text("b", repeat(40, 5, 60)...))
	c := roundTrip(t, mustNext(t, mustOpen(t, cfg, nil)).Cursor)
	want := Position{Block: 6}
	c.Slots[0] = []Position{want, want}
	b := mustNext(t, mustOpen(t, cfg, c))
	unused := 1 - b.Sequences[0].Source
	if got := b.Cursor.Slots[0][unused]; got != want {
		t.Errorf("the unused lane went from %v to %v", want, got)
	}
}
