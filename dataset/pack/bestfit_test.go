package pack

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawLengths draws documents, short ones and some longer than a sequence.
func drawLengths(t *rapid.T, least int) []int {
	length := rapid.OneOf(rapid.IntRange(1, 12), rapid.IntRange(1, 90))
	return rapid.SliceOfN(length, least, 200).Draw(t, "lengths")
}

// Each token but the first of a document is a target once, however pieces are laid; a piece stands
// in one sequence as a whole; no document waits for long.
func TestI2BestFitTakesEachTokenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := drawLengths(t, 1)
		seqLen := rapid.IntRange(1, 40).Draw(t, "seq_len")
		docs, p := &series{lengths: lengths, end: ErrEnd}, NewBestFit(seqLen)
		targets := map[int32]int{}
		for {
			s, err := p.Next(docs.pull)
			if err != nil {
				break
			}
			checkBestFit(t, s, seqLen, lengths, targets)
			if at, _ := p.Position(); docs.next-1-int(at.Block) > maxWindow {
				t.Fatalf("document %d waits while %d are pulled", at.Block, docs.next)
			}
		}
		for doc, length := range lengths { // a series that ends leaves nothing in the window
			for k := 1; k < length; k++ {
				if n := targets[id(doc, k)]; n != 1 {
					t.Fatalf("token %d of document %d was a target %d times", k, doc, n)
				}
			}
		}
		for token, n := range targets {
			if n != 1 {
				t.Fatalf("token %d was a target %d times", token, n)
			}
		}
	})
}

func checkBestFit(t *rapid.T, s Sequence, seqLen int, lengths []int, targets map[int32]int) {
	at := 0
	for _, span := range s.Spans {
		doc := int(span.Block)
		if whole := span.Token+span.Count == lengths[doc]; !whole && span.Count != seqLen+1 {
			t.Fatalf("span %+v ends inside its document of %d", span, lengths[doc])
		}
		for k := range span.Count {
			if s.Tokens[at+k] != id(doc, span.Token+k) {
				t.Fatalf("token %d is not of span %+v", at+k, span)
			}
			if at+k == seqLen {
				continue // a target only
			}
			want := int32(Masked)
			if k+1 < span.Count {
				want = id(doc, span.Token+k+1)
				targets[want]++
			}
			if s.Targets[at+k] != want || int(s.First[at+k]) != at || int(s.Pos[at+k]) != k {
				t.Fatalf("input %d of %+v: target %d, first %d, pos %d", at+k, span, s.Targets[at+k],
					s.First[at+k], s.Pos[at+k])
			}
		}
		at += span.Count
	}
	if s.Padding != max(0, seqLen-at) {
		t.Fatalf("%d tokens in a sequence of %d inputs, padding %d", at, seqLen, s.Padding)
	}
	for i := at; i < seqLen; i++ {
		if s.Targets[i] != Masked || int(s.First[i]) != i {
			t.Fatalf("padding %d: target %d, first %d", i, s.Targets[i], s.First[i])
		}
	}
}

func TestI2BestFitResumesAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := drawLengths(t, 1)
		seqLen := rapid.IntRange(1, 40).Draw(t, "seq_len")
		straightDocs, brokenDocs := &series{lengths: lengths}, &series{lengths: lengths}
		straight, broken := NewBestFit(seqLen), NewBestFit(seqLen)
		for {
			want, err := straight.Next(straightDocs.pull)
			if err != nil {
				break
			}
			if rapid.IntRange(0, 2).Draw(t, "kill") == 0 {
				if at, ok := broken.Position(); ok {
					brokenDocs = &series{lengths: lengths, next: int(at.Block)}
					broken = ResumeBestFit(seqLen, at)
				}
			}
			got, err := broken.Next(brokenDocs.pull)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("resumed: %v, %v; want %v", got, err, want)
			}
			a, _ := straight.Position()
			if b, ok := broken.Position(); !ok || a != b {
				t.Fatalf("resumed at %+v, want %+v", b, a)
			}
		}
	})
}

func TestBestFitWastesLittleOfShortDocuments(t *testing.T) {
	lengths := make([]int, 4000)
	for i := range lengths {
		lengths[i] = 5 + i*7919%300
	}
	docs, p := &series{lengths: lengths}, NewBestFit(512)
	padding, inputs := 0, 0
	for {
		s, err := p.Next(docs.pull)
		if err != nil {
			break
		}
		padding, inputs = padding+s.Padding, inputs+512
	}
	if share := float64(padding) / float64(inputs); share > 0.02 || inputs < 512*1000 {
		t.Errorf("%.2f%% of %d inputs are padding", 100*share, inputs)
	}
}

func TestBestFitChooses(t *testing.T) {
	docs, p := &series{lengths: []int{4, 3, 5, 2, 8, 3, 20, 9, 9, 9, 9}}, NewBestFit(9)
	var got []string
	for range 4 {
		s, err := p.Next(docs.pull)
		if err != nil {
			t.Fatal(err)
		}
		var spans []string
		for _, x := range s.Spans {
			spans = append(spans, fmt.Sprintf("%d:%d+%d", x.Block, x.Token, x.Count))
		}
		got = append(got, strings.Join(spans, " "))
	}
	// The oldest first, then the longest that fits: 4+5, not 4+3+3; then 3+3+2+2. A document of 20
	// is cut into 10, 10 with one token of overlap, and 2, which finds a place before the others.
	want := []string{"0:0+4 2:0+5", "1:0+3 5:0+3 3:0+2 6:18+2", "4:0+8", "6:0+10"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBestFitResumeRefusesAnotherDocument(t *testing.T) {
	for _, at := range []Position{{Token: 5}, {Offset: 1, Token: 2}, {Block: 1, Taken: 1}} {
		docs := &series{lengths: []int{5, 5}}
		if _, err := ResumeBestFit(3, at).Next(docs.pull); err == nil ||
			!strings.Contains(err.Error(), "is another one") {
			t.Errorf("%+v: %v", at, err)
		}
	}
}
