package dataset

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/pack"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestDigestDependsOnEveryPart(t *testing.T) {
	spans := func(change func(*pack.Span)) []pack.Span {
		s := pack.Span{Block: 3, File: 1, Start: 500, Token: 7, Count: 2}
		change(&s)
		return []pack.Span{s}
	}
	same := spans(func(*pack.Span) {})
	seen := map[[32]byte]string{}
	for name, digest := range map[string][32]byte{
		"base":   sequenceDigest(1, 2, same, []int32{5, 6}),
		"slot":   sequenceDigest(2, 2, same, []int32{5, 6}),
		"source": sequenceDigest(1, 1, same, []int32{5, 6}),
		"block":  sequenceDigest(1, 2, spans(func(s *pack.Span) { s.Block++ }), []int32{5, 6}),
		"file":   sequenceDigest(1, 2, spans(func(s *pack.Span) { s.File++ }), []int32{5, 6}),
		"start":  sequenceDigest(1, 2, spans(func(s *pack.Span) { s.Start++ }), []int32{5, 6}),
		"token":  sequenceDigest(1, 2, spans(func(s *pack.Span) { s.Token++ }), []int32{5, 6}),
		"count":  sequenceDigest(1, 2, spans(func(s *pack.Span) { s.Count++ }), []int32{5, 6}),
		"ids":    sequenceDigest(1, 2, same, []int32{5, 7}),
		"order":  sequenceDigest(1, 2, same, []int32{6, 5}),
	} {
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[digest] = name
	}
}

func TestChainDependsOnHistoryAndOrder(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	chains := []string{
		ChainDigest("", nil), ChainDigest("", [][32]byte{a}), ChainDigest("", [][32]byte{a, b}),
		ChainDigest("", [][32]byte{b, a}), ChainDigest(ChainDigest("", [][32]byte{a}), [][32]byte{b}),
	}
	seen := map[string]bool{}
	for i, c := range chains {
		if len(c) != 64 || seen[c] {
			t.Errorf("chain %d: %q, again or too short", i, c)
		}
		seen[c] = true
	}
}

// What a stream delivers is part of the format: a run must be resumable by a later version.
func TestSequencesArePinned(t *testing.T) {
	cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 90)...), text("b", repeat(25, 10, 300)...))
	cfg.BOS = true
	s := mustOpen(t, cfg, nil)
	var out strings.Builder
	chain := ""
	for range 20 {
		b := mustNext(t, s)
		var digests [][32]byte
		for _, sequence := range b.Sequences {
			digests = append(digests, sequence.Digest)
			first := sequence.Spans[0]
			fmt.Fprintf(&out, "step %2d slot %d source %d block %3d record %4d token %3d spans %d\n",
				b.Step, sequence.Slot, sequence.Source, first.Block, first.Start, first.Token,
				len(sequence.Spans))
		}
		chain = ChainDigest(chain, digests)
		fmt.Fprintf(&out, "step %2d chain %s\n", b.Step, chain)
	}
	out.WriteString("best_fit, a ramp, an edit\n")
	cfg.Packing = pb.Packing_BEST_FIT
	mustWeigh(t, cfg.Corpus, &pb.Data{SeqLen: 24,
		Sources:  []*pb.Source{{Name: "s0", Weight: 1}, {Name: "s1", Weight: 2}},
		Schedule: []*pb.MixPhase{{UntilStep: 8, Weights: weights(0, 1), Ramp: true}},
		Edits:    []*pb.WeightEdit{{FromStep: 14, Weights: weights(1, 0)}}})
	s, chain = mustOpen(t, cfg, nil), ""
	for range 20 {
		b := mustNext(t, s)
		var digests [][32]byte
		for _, sequence := range b.Sequences {
			digests = append(digests, sequence.Digest)
			fmt.Fprintf(&out, "step %2d slot %d source %d padding %d", b.Step, sequence.Slot,
				sequence.Source, sequence.Padding)
			for _, x := range sequence.Spans {
				fmt.Fprintf(&out, "  %d:%d:%d+%d", x.Block, x.Start, x.Token, x.Count)
			}
			fmt.Fprintln(&out)
		}
		chain = ChainDigest(chain, digests)
		fmt.Fprintf(&out, "step %2d chain %s\n", b.Step, chain)
	}
	golden(t, "stream.txt", out.String())
}

// Staged sources are pinned too: what is kept of them, and the order it is read in.
func TestStagedSequencesArePinned(t *testing.T) {
	cfg := stagedConfig(t, 3, []string{text("a", 4, 90, 7), text("b", repeat(12, 0, 300)...)}, 0, 1)
	mustStage(t, cfg, 1)
	var out strings.Builder
	kept := objects(t, cfg.Stores.(*memstore.Store), "mem://run/staged")
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		fmt.Fprintf(&out, "%s %x\n", key, sha256.Sum256([]byte(kept[key])))
	}
	s := mustOpen(t, cfg, nil)
	for range 40 {
		b := mustNext(t, s)
		for _, q := range b.Sequences {
			fmt.Fprintf(&out, "step %2d slot %d source %d", b.Step, q.Slot, q.Source)
			for _, x := range q.Spans {
				fmt.Fprintf(&out, "  %d:%d:%d+%d", x.Block, x.Start, x.Token, x.Count)
			}
			fmt.Fprintln(&out)
		}
	}
	golden(t, "staged.txt", out.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s changed:\n%s", name, got)
	}
}
