package sentencepiece

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// golden is one line of testdata/*.jsonl, written by scripts/make_sentencepiece_goldens.py.
type golden struct {
	Text    string
	Bytes   []byte // instead of Text, where that is not UTF-8
	IDs     []int32
	Decoded string
}

func load(t testing.TB, name string) (*Tokenizer, []golden) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".model"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	for line := range bytes.Lines(data) {
		var g golden
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		if g.Bytes != nil {
			g.Text = string(g.Bytes)
		}
		list = append(list, g)
	}
	if len(list) < 400 {
		t.Fatalf("%s: %d texts", name, len(list))
	}
	return tok, list
}

var names = []string{"bpe", "bpe_user", "unigram", "unigram_bytes", "suffix", "types",
	"types_unigram"}

// Every model gives the ids and the texts of the library.
func TestGoldens(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			tok, list := load(t, name)
			for _, g := range list {
				if ids := tok.Encode(nil, g.Text); !slices.Equal(ids, g.IDs) {
					t.Errorf("%q\n got %v\nwant %v", g.Text, ids, g.IDs)
				}
				if text := string(tok.Decode(g.IDs)); text != g.Decoded {
					t.Errorf("%v\n got %q\nwant %q", g.IDs, text, g.Decoded)
				}
			}
		})
	}
}

// Long segments go another way (a heap, no memory of segments) to the same ids: without a prefix,
// texts with a character of no piece between them give what each of them gives.
func TestLongTextsAreTheirParts(t *testing.T) {
	tok, list := load(t, "bpe")
	tok.norm.dummyPrefix = false
	const gap = "\U0010ABCD"
	var texts strings.Builder
	var want []int32
	for _, g := range list {
		part := strings.Repeat(strings.ReplaceAll(g.Text, " ", ""), 3)
		texts.WriteString(part + gap)
		want = append(append(want, tok.Encode(nil, part)...), tok.Encode(nil, gap)...)
	}
	if got := tok.Encode(nil, texts.String()); !slices.Equal(got, want) {
		t.Errorf("%d ids, of the parts %d", len(got), len(want))
	}
	long := strings.Repeat("the", 100_000) // one segment
	ids := tok.Encode(nil, long)
	if n := len(tok.Encode(nil, strings.Repeat("the", 30))); len(ids) > n*100_000/30+100 ||
		string(tok.Decode(ids)) != long {
		t.Errorf("%d ids of one long word", len(ids))
	}
}

// Calls at once share the tables only.
func TestConcurrentCalls(t *testing.T) {
	for _, name := range []string{"bpe_user", "unigram"} {
		tok, list := load(t, name)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for _, g := range list {
					if ids := tok.Encode(nil, g.Text); !slices.Equal(ids, g.IDs) {
						t.Errorf("%s: %q: %v, want %v", name, g.Text, ids, g.IDs)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// With the identity normalizer, tokens count the text's bytes and the dummy prefix.
func TestTokenBytesAddUp(t *testing.T) {
	tok, list := load(t, "bpe")
	for _, g := range list {
		if g.Bytes != nil || strings.Contains(g.Text, space) || g.Text == "" {
			continue
		}
		sum := 0
		for _, id := range g.IDs {
			sum += tok.TokenBytes(id)
		}
		if sum != len(g.Text)+1 {
			t.Errorf("%q: %d bytes of tokens, want %d and a prefix", g.Text, sum, len(g.Text))
		}
	}
}

func TestSpecialPieces(t *testing.T) {
	for name, want := range map[string][2]int32{"bpe": {1, 2}, "unigram_bytes": {-1, 2},
		"suffix": {1, -1}} {
		tok, _ := load(t, name)
		bos, hasBOS := tok.BOS()
		eos, hasEOS := tok.EOS()
		if [2]int32{bos, eos} != want || hasBOS != (bos >= 0) || hasEOS != (eos >= 0) {
			t.Errorf("%s: BOS %d, EOS %d, want %v", name, bos, eos, want)
		}
		if n := tok.TokenBytes(0); n != 0 || tok.TokenBytes(-1) != 0 || tok.TokenBytes(1<<20) != 0 {
			t.Errorf("%s: an unknown piece counts %d bytes", name, n)
		}
		if tok.Piece(-1) != "" || tok.Piece(int32(tok.VocabSize())) != "" || tok.Piece(0) != "<unk>" {
			t.Errorf("%s: pieces %q %q", name, tok.Piece(0), tok.Piece(-1))
		}
	}
}

// EncodePiece takes a piece's text as it is: no prefix, and U+2581 is the space.
func TestEncodePiece(t *testing.T) {
	tok, _ := load(t, "bpe")
	for id := range int32(tok.VocabSize()) {
		if p := tok.model.Pieces[id]; p.Type == Normal {
			var text strings.Builder
			for _, k := range tok.EncodePiece(nil, p.Text) {
				text.WriteString(tok.Piece(k))
			}
			if text.String() != p.Text {
				t.Fatalf("%q is made of %q", p.Text, text.String())
			}
		}
	}
	if ids := tok.EncodePiece(nil, "a b"); ids != nil || !utf8.ValidString(tok.Piece(300)) {
		t.Errorf("a plain space made %v", ids)
	}
}
