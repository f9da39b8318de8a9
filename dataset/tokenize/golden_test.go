package tokenize

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize/merge"
	"unicode"
)

// golden is one text with the peer's ids; see scripts/make_tokenizer_goldens.py.
type golden struct {
	Tokenizer string  `json:"tokenizer"`
	Text      string  `json:"text"`
	IDs       []int32 `json:"ids"`
	Decoded   *string `json:"decoded"` // where it is not the text
}

func readGoldens(t testing.TB) []golden {
	t.Helper()
	var out []golden
	scanner := bufio.NewScanner(bytes.NewReader(testFile(t, "goldens.jsonl")))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var g golden
		if err := json.Unmarshal(scanner.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func anyTokenizer(t testing.TB, name string) Tokenizer {
	t.Helper()
	tok, err := parse(testFile(t, name+".json"), nil)
	if err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return tok
}

// testTokenizer reads a byte-level one.
func testTokenizer(t testing.TB, name string) *bpe {
	t.Helper()
	return anyTokenizer(t, name).(*bpe)
}

func TestEncodeEqualsPeer(t *testing.T) {
	toks := map[string]Tokenizer{}
	goldens := readGoldens(t)
	if len(goldens) < 1000 {
		t.Fatalf("%d goldens, want at least 1000", len(goldens))
	}
	for pass := range 2 { // the second pass reads the word cache
		for _, g := range goldens {
			tok := toks[g.Tokenizer]
			if tok == nil {
				tok = anyTokenizer(t, g.Tokenizer)
				toks[g.Tokenizer] = tok
			}
			if got := tok.Encode(nil, g.Text); !slices.Equal(got, g.IDs) {
				t.Errorf("pass %d, %s: %q\n got %v\nwant %v", pass, g.Tokenizer, g.Text, got, g.IDs)
			}
			if g.Decoded == nil {
				continue
			}
			if got := string(tok.Decode(g.IDs)); got != *g.Decoded {
				t.Errorf("%s: %v\n got %q\nwant %q", g.Tokenizer, g.IDs, got, *g.Decoded)
			}
		}
	}
}

// Words on both sides of merge.Most must merge the same by either way.
func TestLongAndShortMergesAgree(t *testing.T) {
	tok := testTokenizer(t, "gpt2")
	var sc mergeScratch
	for _, g := range readGoldens(t) {
		if len(g.Text) == 0 || len(g.Text) > merge.Most {
			continue
		}
		short := tok.model.mergeShort(nil, g.Text, &sc)
		long := tok.model.mergeLong(nil, g.Text, &sc)
		if !slices.Equal(short, long) {
			t.Errorf("%q: rescanning gives %v, the heap %v", g.Text, short, long)
		}
	}
}

func TestClassesEqualPeer(t *testing.T) {
	for name, of := range map[string]func(r rune) byte{
		"classes.sha256": func(r rune) byte { return byte(classes().of(r)) },
		"words.sha256": func(r rune) byte {
			if isWord(r) && (r < 0xD800 || r > 0xDFFF) {
				return 1
			}
			return 0
		},
	} {
		table := make([]byte, unicode.MaxRune+1)
		for r := range table {
			table[r] = of(rune(r))
		}
		sum := sha256.Sum256(table)
		want := strings.TrimSpace(string(testFile(t, name)))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: characters differ from the peer's (Unicode 16.0; Go has %s): %s, want %s",
				name, unicode.Version, got, want)
		}
	}
}
