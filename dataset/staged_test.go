package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// stagedConfig is testConfig with the sources of these indices staged, but not made yet.
func stagedConfig(tb testing.TB, slots int, contents []string, staged ...int) Config {
	cfg := testConfig(tb, slots, 128, contents...)
	cfg.Stage, cfg.TokenizerID = "mem://run/staged", "bytes"
	for _, i := range staged {
		cfg.Corpus.Sources[i].Staged = true
	}
	return cfg
}

func mustStage(tb testing.TB, cfg Config, shares int) {
	tb.Helper()
	for share := range shares {
		if err := Stage(context.Background(), cfg, share, shares, func(string, uint64) {}); err != nil {
			tb.Fatal(err)
		}
	}
}

// objects are all that lies in a store below a prefix.
func objects(tb testing.TB, mem *memstore.Store, prefix string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	infos, err := mem.List(context.Background(), prefix)
	if err != nil {
		tb.Fatal(err)
	}
	for _, info := range infos {
		data := make([]byte, info.Size)
		if err := mem.ReadRange(context.Background(), info.Key, 0, data, ""); err != nil {
			tb.Fatal(err)
		}
		out[info.Key] = string(data)
	}
	return out
}

// Sources that are staged, beside one that is not, give the same sequences at any world and after
// any kill, whoever made what.
func TestI2StagedSequencesAreTheSameForEveryWorldAndFailureSchedule(t *testing.T) {
	const slots, steps = 5, 24
	contents := []string{text("a", 4, 90, 7), text("b", repeat(30, 0, 300)...),
		text("c", repeat(40, 0, 90)...), text("d", 3000)}
	defer func(size float64) { bundleBytes = size }(bundleBytes)
	for i, packing := range []pb.Packing{pb.Packing_CONCAT, pb.Packing_BEST_FIT,
		pb.Packing_CONCAT} {
		if i == 2 {
			bundleBytes = 1000 // so that there are some
		}
		base := stagedConfig(t, slots, contents, 0, 1, 3)
		base.BOS, base.Packing = true, packing
		mustStage(t, base, 1)
		if array, err := base.OpenStaged(t.Context(), base.Corpus.Sources[1]); err != nil ||
			(len(array.series) > 3) != (i == 2) {
			t.Fatalf("%d bundles, %v", len(array.series), err)
		}
		want := objects(t, base.Stores.(*memstore.Store), "mem://run/staged")
		undisturbed := mustOpen(t, base, nil)
		var batches []*Batch
		for range steps {
			batches = append(batches, mustNext(t, undisturbed))
		}
		rapid.Check(t, func(rt *rapid.T) {
			again := stagedConfig(t, slots, contents, 0, 1, 3)
			again.BOS, again.Packing = true, packing
			mustStage(t, again, rapid.IntRange(1, 4).Draw(rt, "shares"))
			mem := again.Stores.(*memstore.Store)
			if got := objects(t, mem, "mem://run/staged"); !reflect.DeepEqual(got, want) {
				rt.Fatalf("%d objects that differ from the %d made first", len(got), len(want))
			}
			var at *Cursor
			for step := 0; step < steps; {
				cuts := split(rt, slots)
				life := min(rapid.IntRange(1, 12).Draw(rt, "life"), steps-step)
				var cursors []*Cursor
				for k := range len(cuts) - 1 {
					cfg := again
					cfg.Lo, cfg.Hi = cuts[k], cuts[k+1]
					cursors = append(cursors, runRank(t, cfg, at, batches[step:step+life]))
				}
				merged, err := MergeCursors(cursors)
				if err != nil {
					rt.Fatal(err)
				}
				at, step = roundTrip(t, merged), step+life
			}
			if !reflect.DeepEqual(at, batches[steps-1].Cursor) {
				rt.Fatal("the merged cursor differs from that of one stream")
			}
		})
	}
}

// In every pass over a staged source each token of each document is a target once, but for the
// first of the series; and no two slots ever read the same sequence of one epoch.
func TestI2EachTokenOfAStagedSourceIsConsumedOnceAPass(t *testing.T) {
	defer func(size float64) { bundleBytes = size }(bundleBytes)
	for name, lengths := range map[string][]int{
		"one": {3000}, "tiny": {3}, "some": {1, 30, 0, 200}, "many": repeat(90, 0, 90),
		"bundles": repeat(90, 0, 90),
	} {
		for _, packing := range []pb.Packing{pb.Packing_CONCAT, pb.Packing_BEST_FIT} {
			const slots = 4
			bundleBytes = 64e6
			if name == "bundles" {
				bundleBytes = 1000
			}
			cfg := stagedConfig(t, slots, []string{text("a", lengths...)}, 0)
			cfg.Packing = packing
			mustStage(t, cfg, 1)
			m := cfg.Corpus.Sources[0]
			array, err := cfg.OpenStaged(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			consumed, sequences := map[int64][]int{}, map[string]bool{}
			firsts := 0
			s := mustOpen(t, cfg, nil)
			for n := uint64(0); n < array.Sequences(); {
				for _, q := range mustNext(t, s).Sequences {
					if n++; n > array.Sequences() {
						continue // of the next epoch
					}
					sequences[fmt.Sprint(q.Spans)] = true
					index := 0
					for _, span := range q.Spans {
						for i := range span.Count {
							fresh := index > 0 || span.Token+i == 0
							if packing == pb.Packing_BEST_FIT {
								fresh = i > 0 || span.Token == 0
							}
							if fresh {
								count(consumed, span.Start, span.Token+i)
							} else {
								firsts++
							}
							index++
						}
					}
				}
			}
			if len(sequences) != int(array.Sequences()) {
				t.Errorf("%s: %d sequences of %d", name, len(sequences), array.Sequences())
			}
			for record, counts := range consumed {
				passes := int(array.Passes)
				if counts[0] < passes || counts[0] > 2*passes { // it may be an overlap as well
					t.Errorf("%s, %v: record %d begins %d times", name, packing, record, counts[0])
				}
				if rest := counts[1:]; len(rest) > 0 &&
					(slices.Min(rest) != passes || slices.Max(rest) != passes) {
					t.Errorf("%s, %v: record %d: tokens consumed %d to %d times in %d passes", name,
						packing, record, slices.Min(rest), slices.Max(rest), passes)
				}
			}
			if len(consumed) != len(lengths) {
				t.Errorf("%s: %d records of %d", name, len(consumed), len(lengths))
			}
			t.Logf("%s, %v: %d sequences, %d passes, %d overlaps", name, packing, array.Sequences(),
				array.Passes, firsts)
		}
	}
}

// A source in one gzip file is staged by Pin, and gives what the same text gives uncompressed.
func TestStagedGzip(t *testing.T) {
	content := text("a", repeat(500, 0, 90)...)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(content))
	z.Close()
	mem := memstore.New()
	mem.Set("mem://c/a.jsonl.gz", packed.Bytes())
	data := &pb.Data{Sources: []*pb.Source{{Name: "a", Uri: "mem://c/a.jsonl.gz", Weight: 1}}}
	corpus, err := Pin(t.Context(), mem, data, 4)
	if err != nil || !corpus.Sources[0].Staged {
		t.Fatalf("staged %v, %v", corpus.GetSources(), err)
	}
	cfg := Config{Corpus: corpus, SeqLen: 24, GlobalBatch: 4, DocMask: true, Seed: 7, Hi: 4,
		Tokenizer: bytesTokenizer{}, Stores: mem, Stage: "mem://run/staged"}
	if _, err := Open(t.Context(), cfg, nil); !errors.Is(err, ErrNotStaged) {
		t.Fatalf("opened before it is staged: %v", err)
	}
	mustStage(t, cfg, 3)
	plain := stagedConfig(t, 4, []string{content}, 0)
	plain.Corpus.Sources[0].Name = "a"
	mustStage(t, plain, 1)
	a, b := mustOpen(t, cfg, nil), mustOpen(t, plain, nil)
	for range 20 {
		x, y := mustNext(t, a), mustNext(t, b)
		for i := range x.Sequences {
			if !slices.Equal(x.Sequences[i].Tokens, y.Sequences[i].Tokens) {
				t.Fatalf("step %d, slot %d differs", x.Step, i)
			}
		}
	}
}

func TestStagingFailsCleanly(t *testing.T) {
	none := func(string, uint64) {}
	cfg := stagedConfig(t, 3, []string{text("a", repeat(50, 0, 90)...) + "{\"text\":3}\n"}, 0)
	err := Stage(t.Context(), cfg, 0, 1, none)
	if !errors.Is(err, source.ErrInvalid) || !strings.Contains(err.Error(), "mem://corpus/0.jsonl") {
		t.Errorf("a broken record: %v", err)
	}
	if _, err := Open(t.Context(), cfg, nil); !errors.Is(err, ErrNotStaged) {
		t.Errorf("half of a source is taken for all of it: %v", err)
	}

	cfg = stagedConfig(t, 3, []string{text("a", repeat(50, 0, 90)...)}, 0)
	mem := cfg.Stores.(*memstore.Store)
	away := errors.New("away")
	mem.Before = func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "mem://corpus") {
			return away
		}
		return nil
	}
	if err := Stage(t.Context(), cfg, 0, 1, none); !errors.Is(err, away) {
		t.Errorf("a store that fails: %v", err)
	}
	mem.Before = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Stage(ctx, cfg, 0, 1, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	mustStage(t, cfg, 2)

	for key, data := range objects(t, mem, "mem://run/staged") {
		if strings.HasSuffix(key, "part-000000") {
			mem.Set(key, []byte(strings.Replace(data, "x", "y", 1)))
		}
	}
	s := mustOpen(t, cfg, nil)
	for err = nil; err == nil; {
		_, err = s.Next(t.Context())
	}
	if !errors.Is(err, source.ErrInvalid) || !strings.Contains(err.Error(), "part-000000: sequence") {
		t.Errorf("a damaged part: %v", err)
	}

	cfg = stagedConfig(t, 3, []string{text("a", 0), "\n{\"text\":\"\"}\n"}, 1)
	if err = Stage(t.Context(), cfg, 0, 1, none); !errors.Is(err, source.ErrInvalid) ||
		!strings.Contains(err.Error(), "not one document") {
		t.Errorf("a source without text: %v", err)
	}
}

func TestStagedSourceEndsAtMaxEpochs(t *testing.T) {
	cfg := stagedConfig(t, 2, []string{text("a", 3000)}, 0)
	cfg.Corpus.Sources[0].MaxEpochs = 2
	mustStage(t, cfg, 1)
	array, err := cfg.OpenStaged(t.Context(), cfg.Corpus.Sources[0])
	if err != nil {
		t.Fatal(err)
	}
	s, n := mustOpen(t, cfg, nil), uint64(0)
	for ; ; n += 2 {
		if _, err = s.Next(t.Context()); err != nil {
			break
		}
	}
	if !errors.Is(err, source.ErrExhausted) || n != 2*array.Sequences() {
		t.Errorf("%d sequences of %d an epoch, %v", n, array.Sequences(), err)
	}
}

// A source of some bundles is the same as a whole, but for the padding between them.
func TestBundlesCoverEveryBlockOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &pb.SourceManifest{BlockBytes: rapid.Uint64Range(1<<20, 8<<20).Draw(rt, "block")}
		sizes := rapid.SliceOfN(rapid.Uint64Range(1, 300<<20), 1, 6).Draw(rt, "sizes")
		for _, size := range sizes {
			f := &pb.PinnedFile{Size: size}
			if rapid.Bool().Draw(rt, "parquet") {
				f.Format, f.BlockSizes = pb.Format_PARQUET, []uint64{1000, 5, 20000}
			}
			m.Files = append(m.Files, f)
		}
		bundles, err := bundlesOf(m)
		if err != nil {
			rt.Fatal(err)
		}
		layout, err := source.NewLayout(m.BlockBytes, m.Files)
		if err != nil {
			rt.Fatal(err)
		}
		at := uint64(0)
		for _, b := range bundles {
			if b.first != at || b.until <= at {
				rt.Fatalf("bundle %v behind block %d", b, at)
			}
			at = b.until
		}
		if at != layout.Blocks() {
			rt.Fatalf("%d blocks of %d", at, layout.Blocks())
		}
	})
}
