package tokenize

import (
	"slices"
	"testing"
)

// Where ids cannot show a boundary (no merge crosses it), the words do. Expected: the peer's.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          []string
	}{
		{patternL3, "'\u017fe'SE", []string{"'\u017f", "e", "'S", "E"}},
		{patternGPT2, "'\u017fe'SE", []string{"'", "\u017fe", "'", "SE"}},
		{patternL3, "1234567", []string{"123", "456", "7"}},
		{patternQwen2, "1234", []string{"1", "2", "3", "4"}},
		{patternL3, "a  \n\n  b", []string{"a", "  \n\n", " ", " b"}},
		{patternGPT2, "a  \n\n  b", []string{"a", "  \n\n ", " b"}},
		{patternL3, "x!\r\n\u3000y", []string{"x", "!\r\n", "\u3000y"}},
		{patternL3, "   ", []string{"   "}},
		{"unknown", "text", nil},
	} {
		got := slices.Collect(Words(c.pattern, c.text))
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
