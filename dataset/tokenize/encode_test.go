package tokenize

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestInvalidUTF8IsReplacementCharacters(t *testing.T) {
	for _, name := range []string{"gpt2", "qwen2"} { // with and without a normalizer
		tok := testTokenizer(t, name)
		for _, c := range []struct{ text, like string }{
			{"a\xff\xfeb", "a\ufffd\ufffdb"},
			{"\xe4\xb8", "\ufffd\ufffd"},
			{"中\xe4\xb8x", "中\ufffd\ufffdx"},
			{"\xed\xa0\x80x", "\ufffd\ufffd\ufffdx"},
			{"\xe0\x80\x80x", "\ufffd\ufffd\ufffdx"},
			{"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
			{"abcdefgh\x80", "abcdefgh\ufffd"},
		} {
			got, want := tok.Encode(nil, c.text), tok.Encode(nil, c.like)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q: %v, want that of %q: %v", name, c.text, got, c.like, want)
			}
		}
	}
}

func TestUnknownIDs(t *testing.T) {
	tok := testTokenizer(t, "gpt2")
	for _, id := range []int32{-1, int32(tok.VocabSize()), 1 << 30} {
		if tok.TokenBytes(id) != 0 || len(tok.Decode([]int32{id})) != 0 {
			t.Errorf("id %d: %d bytes, %q", id, tok.TokenBytes(id), tok.Decode([]int32{id}))
		}
	}
}

func TestEncodeAppends(t *testing.T) {
	tok := testTokenizer(t, "qwen2")
	got := tok.Encode([]int32{-5, -6}, "banyan tree")
	if want := append([]int32{-5, -6}, tok.Encode(nil, "banyan tree")...); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestConcurrentEncode(t *testing.T) {
	goldens := readGoldens(t)
	toks := map[string]Tokenizer{}
	for _, g := range goldens {
		if toks[g.Tokenizer] == nil {
			toks[g.Tokenizer] = anyTokenizer(t, g.Tokenizer)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, g := range goldens {
				if got := toks[g.Tokenizer].Encode(nil, g.Text); !slices.Equal(got, g.IDs) {
					t.Errorf("%s: %q: %v, want %v", g.Tokenizer, g.Text, got, g.IDs)
				}
			}
		})
	}
	wg.Wait()
	for name, tok := range toks {
		if b, ok := tok.(*bpe); ok && (len(b.free) == 0 || len(b.free) > 4) {
			t.Errorf("%s keeps %d scratches after 4 callers", name, len(b.free))
		}
	}
}

// One word of 1 MiB must cost n log n: by rescanning it would take most of an hour.
func TestLongWord(t *testing.T) {
	tok := testTokenizer(t, "gpt2")
	text := strings.Repeat("thelamp", 1<<20/7)
	if got := string(tok.Decode(tok.Encode(nil, text))); got != text {
		t.Error("a long word does not come back")
	}
}

func TestWarmEncodeAllocatesNothing(t *testing.T) {
	tok := testTokenizer(t, "llama3")
	text := strings.Repeat("The lamp on the hill burned all night. 夜里下起了小雨。", 20)
	ids := tok.Encode(nil, text)
	if n := testing.AllocsPerRun(20, func() { ids = tok.Encode(ids[:0], text) }); n > 5 {
		t.Errorf("%v allocations for a warm text, want 5 at most", n)
	}
}

// checkRoundTrip holds for every text without added tokens, but for a leading space that
// add_prefix_space puts there and for what NFC changes.
func checkRoundTrip(t *testing.T, tok *bpe, text string) {
	t.Helper()
	ids := tok.Encode(nil, text)
	total := 0
	for _, id := range ids {
		if !tok.known(id) {
			t.Fatalf("%q: id %d is outside the vocabulary", text, id)
		}
		total += tok.TokenBytes(id)
	}
	got := string(tok.Decode(ids))
	if got != text || total != len(text) {
		t.Errorf("%q comes back as %q, its tokens hold %d bytes", text, got, total)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, g := range readGoldens(f)[:100] {
		f.Add(g.Text)
	}
	toks := []*bpe{testTokenizer(f, "gpt2"), testTokenizer(f, "llama3"), testTokenizer(f, "digits")}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "<|endoftext|>") || !utf8.ValidString(text) {
			return
		}
		for _, tok := range toks {
			checkRoundTrip(t, tok, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"gpt2", "prefix", "llama3", "qwen2", "digits", "prepend",
		"metaspace"} {
		f.Add(testFile(f, name+".json"), []byte(`{"eos_token": "<|endoftext|>"}`))
	}
	f.Add([]byte(`{"model": {"vocab": {"": 0}, "merges": ["a b"]}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, file, config []byte) {
		tok, err := parse(file, config)
		if err != nil {
			return
		}
		for _, id := range tok.Encode(nil, "It's 12 <|endoftext|> 中文\r\n\xff") {
			if id < 0 || int(id) >= tok.VocabSize() {
				t.Errorf("id %d is outside the vocabulary of %d", id, tok.VocabSize())
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for name, text := range map[string]string{
		"en": "The lamp on the hill burned all night, and the sailors said they'd seen it. ",
		"zh": "夜里下起了小雨，河水慢慢涨高。船夫说：“明天走吧！”",
	} {
		tok, text := testTokenizer(b, "llama3"), strings.Repeat(text, 100)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids = tok.Encode(ids[:0], text)
			}
		})
	}
}
