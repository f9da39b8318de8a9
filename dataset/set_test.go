package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/pack"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// heldOut is a set of two files in a store of its own.
func heldOut(t *testing.T, seqLen int, files ...string) (SetConfig, *memstore.Store) {
	t.Helper()
	mem := memstore.New()
	for i, content := range files {
		mem.Set(fmt.Sprintf("mem://held/%d.jsonl", i), []byte(content))
	}
	sets, err := PinSets(t.Context(), mem, []*pb.EvalSet{
		{Name: "en-held", Lang: "en", Uri: "mem://held/*.jsonl"}})
	if err != nil {
		t.Fatal(err)
	}
	return SetConfig{Manifest: sets[0], SeqLen: seqLen, DocMask: true, Tokenizer: bytesTokenizer{},
		Stores: mem}, mem
}

func readSet(t *testing.T, c SetConfig) []Sequence {
	t.Helper()
	set, err := OpenSet(c)
	if err != nil {
		t.Fatal(err)
	}
	var all []Sequence
	for {
		s, err := set.Next(t.Context())
		if errors.Is(err, io.EOF) {
			if _, err := set.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %v", err)
			}
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
}

// TestSetIsItsDocumentsInOrder reads a set of many blocks: its sequences are the documents in the
// order of the files, each token a target once but for the starts of documents, and the bytes of
// the targets those of the texts.
func TestSetIsItsDocumentsInOrder(t *testing.T) {
	a, b := text("a", repeat(400, 10, 200)...), text("b", repeat(30, 1, 900)...)
	c, _ := heldOut(t, 64, a, b)
	if c.Manifest.Blocks < 8 {
		t.Fatalf("%d blocks: too few to see an order", c.Manifest.Blocks)
	}
	var want []int32
	var targets, textBytes int
	for _, content := range []string{a, b} {
		for line := range strings.Lines(content) {
			_, body, _ := strings.Cut(line, `"text":"`)
			body = strings.TrimSuffix(body, "\"}\n")
			want = append(bytesTokenizer{}.Encode(want, body), 257)
			targets += len(body) // the first is no target, EOS is
			textBytes += len(body) - 1
		}
	}
	var got []int32
	var gotTargets, gotBytes int
	sequences := readSet(t, c)
	for i, s := range sequences {
		n := 0
		for _, span := range s.Spans {
			n += span.Count
		}
		if n <= c.SeqLen && i < len(sequences)-1 {
			t.Fatalf("sequence %d holds %d tokens", i, n)
		}
		if i > 0 {
			got = got[:len(got)-1] // the overlap
		}
		got = append(got, s.Tokens[:n]...)
		for k, id := range s.Targets {
			if id != pack.Masked && id != s.Tokens[k+1] {
				t.Fatalf("sequence %d: target %d is %d, the next token %d", i, k, id, s.Tokens[k+1])
			}
			if id != pack.Masked {
				gotTargets++
			}
			if k >= n && (s.First[k] != int32(k) || s.Pos[k] != 0) {
				t.Fatalf("sequence %d: padding %d sees from %d on", i, k, s.First[k])
			}
		}
		gotBytes += int(s.TargetBytes)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d tokens, want the %d of the documents in order", len(got), len(want))
	}
	if gotTargets != targets || gotBytes != textBytes {
		t.Errorf("%d targets of %d bytes, want %d of %d", gotTargets, gotBytes, targets, textBytes)
	}
	c.MaxSequences = 7
	first := readSet(t, c)
	if len(first) != 7 || !slices.Equal(first[6].Tokens, sequences[6].Tokens) {
		t.Errorf("the first 7 of the set are %d sequences, other ones", len(first))
	}
}

// TestSetOfOneShortDocument is one padded sequence.
func TestSetOfOneShortDocument(t *testing.T) {
	for _, docMask := range []bool{true, false} {
		c, _ := heldOut(t, 8, text("a", 5))
		c.DocMask = docMask
		all := readSet(t, c)
		if len(all) != 1 || all[0].TargetBytes != 4 ||
			!slices.Equal(all[0].Targets, []int32{'-', '0', ' ', 'x', 257, -1, -1, -1}) {
			t.Errorf("doc_mask %v: sequences %+v", docMask, all)
		}
	}
}

func TestBadSets(t *testing.T) {
	c, mem := heldOut(t, 8, text("a", repeat(50, 50, 90)...))
	mem.Set("mem://held/0.jsonl", []byte(text("b", repeat(50, 50, 90)...)))
	set, err := OpenSet(c)
	if err == nil {
		_, err = set.Next(t.Context())
	}
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "mem://held/0.jsonl") {
		t.Errorf("a changed file: %v", err)
	}
	c, _ = heldOut(t, 8, strings.Repeat(`{"body":"no text"}`+"\n", 9), "\n\n")
	if set, err = OpenSet(c); err == nil {
		_, err = set.Next(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "text_field") {
		t.Errorf("a set without text: %v", err)
	}
	_, err = PinSets(context.Background(), memstore.New(), []*pb.EvalSet{
		{Name: "x", Uri: "mem://held/x.jsonl"}, {Name: "y", Uri: "mem://held/y.zst"}})
	if err == nil || !strings.Contains(err.Error(), `held-out set "x"`) ||
		!strings.Contains(err.Error(), `held-out set "y"`) {
		t.Errorf("two bad sets: %v", err)
	}
}
