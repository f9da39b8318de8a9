package tokenize

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// Texts with few marks in a row must come out as Go's NFC has them, by either way.
func TestAppendMarksEqualsGo(t *testing.T) {
	pool := []rune("aeA\u0301\u0323\u0327\u0345\u0300\u0316\u1100\u1161\u11a8\uac00\u0b47\u0b57" +
		"\u0dd9\u0dca\u0ddc\u212b\u1e69\u0344\u0f73\u0f71\u0f72\u05b0\u05b9\u3099\u304b\u0e38\u0e48" +
		"\U0001d157\U0001d165\u4e2d\uf900")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		text := make([]rune, rng.IntN(9))
		for i := range text {
			text[i] = pool[rng.IntN(len(pool))]
		}
		want := norm.NFC.String(string(text))
		if got := string(appendMarks(nil, string(text))); got != want {
			t.Errorf("%+q by the book is %+q, Go has %+q", string(text), got, want)
		}
		if got := nfc(string(text)); got != want {
			t.Errorf("%+q becomes %+q, want %+q", string(text), got, want)
		}
	}
}

// Expected: the peer's. Go's NFC puts U+034F among so many marks.
func TestManyMarks(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a" + strings.Repeat("\u0301", 40), "\u00e1" + strings.Repeat("\u0301", 39)},
		{"xe" + strings.Repeat("\u0316\u0300", 40) + "y",
			"x\u00e8" + strings.Repeat("\u0316", 40) + strings.Repeat("\u0300", 39) + "y"},
		{"\u1100\u1161" + strings.Repeat("\u11a8", 40) + "e\u0301",
			"\uac01" + strings.Repeat("\u11a8", 39) + "\u00e9"},
		{strings.Repeat("\u0323", 50) + "\u07fd" + strings.Repeat("\u0301", 50),
			strings.Repeat("\u0323", 50) + "\u07fd" + strings.Repeat("\u0301", 50)},
	} {
		if got := nfc(c.text); got != c.want {
			t.Errorf("%+q\n got %+q\nwant %+q", c.text, got, c.want)
		}
	}
}

// What keeps says must hold for every character beside every other; characters that it does not
// call changing are enough to look at one by one and after a letter that composes.
func TestKeptTextIsNormal(t *testing.T) {
	flags, kept := nfcFlags(), 0
	for r := rune(0); r <= lastFlag+1; r++ {
		if !flags.keeps(string(r)) {
			continue
		}
		kept++
		for _, s := range []string{string(r), "e" + string(r), "\u1100" + string(r),
			string(r) + "\u4e2d"} {
			if !norm.NFC.IsNormalString(s) {
				t.Fatalf("%+q is kept but not normal", s)
			}
		}
	}
	if kept < 150_000 || flags.keeps("e\u0301") || flags.keeps("\U00030000") {
		t.Errorf("%d characters are kept", kept)
	}
}
