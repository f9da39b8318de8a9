package stage_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/stage"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/file"
)

func drawSequence(t *rapid.T) stage.Sequence {
	s := stage.Sequence{Tokens: []int32{}, Spans: []pack.Span{}}
	for range rapid.IntRange(0, 6).Draw(t, "spans") {
		n := rapid.IntRange(0, 40).Draw(t, "count")
		s.Spans = append(s.Spans, pack.Span{Block: rapid.Uint64Range(0, 1<<62).Draw(t, "block"),
			File:  rapid.IntRange(0, 9).Draw(t, "file"),
			Start: rapid.Int64Range(0, 1<<40).Draw(t, "start"),
			Token: rapid.IntRange(0, 1<<20).Draw(t, "token"), Count: n})
		for range n {
			s.Tokens = append(s.Tokens, rapid.Int32Range(0, 1<<30).Draw(t, "id"))
		}
	}
	return s
}

func write(t interface{ Fatal(...any) }, b store.Bucket, id string, series []stage.Sequence) {
	w := stage.NewWriter(b, "x/bundle", id)
	for _, s := range series {
		if err := w.Add(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background(), 7, 8, 9); err != nil {
		t.Fatal(err)
	}
}

// What is read by its number is what was written; a second writer changes nothing.
func TestSeriesComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		b := file.New(dir)
		series := rapid.SliceOfN(rapid.Custom(drawSequence), 0, 30).Draw(rt, "series")
		write(rt, b, "id", series)
		write(rt, b, "id", series)
		s, err := stage.Open(t.Context(), b, "x/bundle", "id")
		if err != nil {
			rt.Fatal(err)
		}
		if s.Sequences != uint64(len(series)) || s.Documents != 7 || s.Tokens != 8 || s.Passes != 9 {
			rt.Fatalf("index %+v", s.Index)
		}
		for i := range series {
			got, err := s.Read(t.Context(), uint64(i))
			if err != nil || !reflect.DeepEqual(got, series[i]) {
				rt.Fatalf("sequence %d: %+v, %v; want %+v", i, got, err, series[i])
			}
		}
	})
}

// long makes a series of several parts, more than is kept in memory.
func long() []stage.Sequence {
	var series []stage.Sequence
	for i := range 700 {
		s := stage.Sequence{Tokens: make([]int32, 8<<10-i)}
		for k := range s.Tokens {
			s.Tokens[k] = int32(i<<13 + k)
		}
		s.Spans = []pack.Span{{Block: uint64(i), Count: len(s.Tokens)}}
		series = append(series, s)
	}
	return series
}

func TestLongSeries(t *testing.T) {
	dir, series := t.TempDir(), long()
	write(t, file.New(dir), "id", series)
	s, err := stage.Open(t.Context(), file.New(dir), "x/bundle", "id")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Parts) < 5 {
		t.Fatalf("%d parts: too few to show anything", len(s.Parts))
	}
	for i := 0; i < len(series); i += 7 {
		got, err := s.Read(t.Context(), uint64(i))
		if err != nil || !reflect.DeepEqual(got, series[i]) {
			t.Fatalf("sequence %d: %v", i, err)
		}
	}
}

// Whatever bit of whatever object is changed, reading it fails; so does a record in another place.
func TestDamageIsFound(t *testing.T) {
	series := []stage.Sequence{{Tokens: []int32{1, 2, 3}, Spans: []pack.Span{{Count: 3}}},
		{Tokens: []int32{4, 5, 6}, Spans: []pack.Span{{Count: 3}}}}
	read := func(dir string) error {
		s, err := stage.Open(t.Context(), file.New(dir), "x/bundle", "id")
		for i := uint64(0); err == nil && i < s.Sequences; i++ {
			_, err = s.Read(t.Context(), i)
		}
		return err
	}
	dir := t.TempDir()
	write(t, file.New(dir), "id", series)
	if err := read(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"part-000000", "index.json"} {
		path := filepath.Join(dir, "x/bundle", name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoil := func(data []byte) {
			t.Helper()
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			err := read(dir)
			if !errors.Is(err, stage.ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			spoil(bad)
		}
		if half := len(good) / 2; name == "part-000000" {
			spoil(append(bytes.Clone(good[half:]), good[:half]...))
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stage.Open(t.Context(), file.New(dir), "x/bundle", "other"); !errors.Is(err,
		stage.ErrDamaged) {
		t.Errorf("the index of another series: %v", err)
	}
	if _, err := stage.Open(t.Context(), file.New(dir), "x/other", "id"); !errors.Is(err,
		store.ErrNotFound) {
		t.Errorf("no index: %v", err)
	}
}
