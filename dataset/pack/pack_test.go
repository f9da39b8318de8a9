package pack

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// series is a list of documents to pull; document i is record i*100 of block number i.
type series struct {
	lengths []int
	next    int
	end     error // behind the last; nil: errCut
	buffer  []int32
}

func (s *series) pull() (Document, error) {
	if s.next == len(s.lengths) {
		return Document{}, cmp.Or(s.end, errCut)
	}
	i := s.next
	s.next++
	s.buffer = s.buffer[:0] // as the caller does: tokens are valid until the next pull
	for k := range s.lengths[i] {
		s.buffer = append(s.buffer, id(i, k))
	}
	return Document{Block: uint64(i), Start: int64(i * 100), Offset: int64(i), Tokens: s.buffer}, nil
}

var errCut = errors.New("the series is cut")

func id(doc, token int) int32 { return int32(doc*1000 + token) }

func TestI2EachTokenIsATargetOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 30), 1, 20).Draw(t, "lengths")
		seqLen := rapid.IntRange(1, 40).Draw(t, "seq_len")
		docMask := rapid.Bool().Draw(t, "doc_mask")
		var all []int32
		starts := map[int32]bool{}
		for i, n := range lengths {
			starts[id(i, 0)] = true
			for k := range n {
				all = append(all, id(i, k))
			}
		}
		docs := &series{lengths: lengths}
		p := New(seqLen, docMask)
		at := 0
		for {
			s, err := p.Next(docs.pull)
			if err != nil {
				break
			}
			if !slices.Equal(s.Tokens, all[at:at+seqLen+1]) {
				t.Fatalf("at %d: %v, want %v", at, s.Tokens, all[at:at+seqLen+1])
			}
			for i, target := range s.Targets {
				want := all[at+i+1]
				if docMask && starts[want] {
					want = Masked
				}
				if target != want {
					t.Fatalf("at %d: target %d of input %d, want %d", at, target, i, want)
				}
			}
			checkMarks(t, s, docMask, starts)
			checkSpans(t, s)
			at += seqLen
		}
		if left := len(all) - at; left > seqLen {
			t.Fatalf("%d tokens left, enough for a sequence of %d", left, seqLen)
		}
	})
}

func checkMarks(t *rapid.T, s Sequence, docMask bool, starts map[int32]bool) {
	first := 0
	for i := range s.Pos {
		if docMask && starts[s.Tokens[i]] {
			first = i
		}
		if int(s.First[i]) != first || int(s.Pos[i]) != i-first {
			t.Fatalf("input %d: first %d, pos %d; want %d, %d",
				i, s.First[i], s.Pos[i], first, i-first)
		}
	}
}

func checkSpans(t *rapid.T, s Sequence) {
	i := 0
	for _, span := range s.Spans {
		for k := range span.Count {
			if s.Tokens[i] != id(int(span.Block), span.Token+k) ||
				span.Start != int64(span.Block)*100 {
				t.Fatalf("token %d is not of span %+v", i, span)
			}
			i++
		}
	}
	if i != len(s.Tokens) {
		t.Fatalf("spans cover %d of %d tokens", i, len(s.Tokens))
	}
}

func TestI2ResumeGivesTheSameSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 30), 1, 20).Draw(t, "lengths")
		seqLen := rapid.IntRange(1, 40).Draw(t, "seq_len")
		straightDocs, brokenDocs := &series{lengths: lengths}, &series{lengths: lengths}
		straight, broken := New(seqLen, true), New(seqLen, true)
		for {
			want, err := straight.Next(straightDocs.pull)
			if err != nil {
				break
			}
			if rapid.Bool().Draw(t, "kill") {
				if at, ok := broken.Position(); ok {
					brokenDocs = &series{lengths: lengths, next: int(at.Block)}
					broken = Resume(seqLen, true, at)
					if again, ok := broken.Position(); !ok || again != at {
						t.Fatalf("position %v after resuming at %v", again, at)
					}
				}
			}
			got, err := broken.Next(brokenDocs.pull)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("resumed: %v, %v; want %v", got, err, want)
			}
		}
	})
}

func TestResumeRefusesAnotherDocument(t *testing.T) {
	for _, at := range []Position{{Token: 5}, {Offset: 1, Token: 2}, {Block: 1, Token: 2}} {
		docs := &series{lengths: []int{5, 5}}
		if _, err := Resume(3, true, at).Next(docs.pull); err == nil ||
			!strings.Contains(err.Error(), "is another one") {
			t.Errorf("%+v: %v", at, err)
		}
	}
}

func TestErrorsOfPullComeOut(t *testing.T) {
	cause := errors.New("cause")
	_, err := New(3, true).Next(func() (Document, error) { return Document{}, cause })
	if !errors.Is(err, cause) {
		t.Error(err)
	}
	if _, err := New(3, true).Next(func() (Document, error) { return Document{}, nil }); err == nil {
		t.Error("a document without tokens was accepted")
	}
}

func TestTranscript(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		seqLen  int
		docMask bool
		lengths []int
	}{
		{6, true, []int{4, 5, 6}}, {6, false, []int{4, 5, 6}}, {4, true, []int{5, 1, 1, 6, 12}},
		{5, true, []int{26}},
	} {
		fmt.Fprintf(&out, "seq_len %d doc_mask %v documents %v\n", c.seqLen, c.docMask, c.lengths)
		docs, p := &series{lengths: c.lengths}, New(c.seqLen, c.docMask)
		for {
			s, err := p.Next(docs.pull)
			if err != nil {
				break
			}
			at, _ := p.Position()
			fmt.Fprintf(&out, "  tokens  %v\n  targets %v\n  pos     %v\n  first   %v\n"+
				"  next    {%d %d %d}\n", s.Tokens, s.Targets, s.Pos, s.First, at.Block, at.Offset,
				at.Token)
		}
	}
	golden := filepath.Join("testdata", "pack.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("packing changed:\n%s", out.String())
	}
}
