package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

// runes gives every rune its code point.
type runes struct{ tokenize.Tokenizer }

func (runes) Encode(dst []int32, text string) []int32 { return append(dst, []rune(text)...) }

func TestEncodeLines(t *testing.T) {
	var out strings.Builder
	in := `{"text":"a<中","ids":[1],"lang":"zh"}` + "\n" + `{"text":""}` + "\n"
	if err := encodeLines(runes{}, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	want := `{"text":"a<中","ids":[97,60,20013]}` + "\n" + `{"text":"","ids":null}` + "\n"
	if out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}

func TestEncodeLinesRefuses(t *testing.T) {
	for _, in := range []string{`{"text":"a"}{"txt":"b"}`, `{"text":"a"} [1]`, `{"text":"a"} {"text`} {
		err := encodeLines(runes{}, strings.NewReader(in), &strings.Builder{})
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "record 2") {
			t.Errorf("%s: got %v", in, err)
		}
	}
}
